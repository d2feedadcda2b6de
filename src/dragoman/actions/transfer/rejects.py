"""The refused records of an import, in the form of its file, and the reasons beside."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from dragoman.actions.transfer.records import Record, RecordForm, RowProblem


class _Entry(msgspec.Struct, frozen=True):
    """A refused record in the journal."""

    number: int
    raw: bytes
    problems: tuple[RowProblem, ...]


class _Beginning(msgspec.Struct, frozen=True):
    """The first line of a journal: the import that it belongs to."""

    digest: str


class Rejects:
    """Collects the refused records of one import, also over a kill and a new start.

    During the import they are in a journal, ``PATH.part``, which the next run of the same import
    goes on with. ``finish`` writes ``PATH``, which can be corrected and imported, and
    ``PATH.reasons.ndjson``: one line for each problem. All of them are for their owner only.

    Args:
        path: the file of refused records; no file that is there already is replaced.
        digest: what identifies the import.

    Raises OSError, FileExistsError if there is such a file.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        self.reasons_path = path.with_name(f"{path.name}.reasons.ndjson")
        self._journal_path = path.with_name(f"{path.name}.part")
        self._digest = digest
        self._journal: BinaryIO | None = None
        self.count = 0
        """Records that are refused."""
        for each in (self.path, self.reasons_path):
            if each.exists():
                raise FileExistsError(None, "already exists", str(each))

    def begin(self, *, after_record: int) -> bool:
        """Begin the journal; return whether the refused records before are in it.

        Args:
            after_record: the number of the record after which the import goes on; 0: it begins.
                Later records are dropped from the journal: their outcome was not written.
        """
        self.close()
        self.count = 0
        kept = self._kept_bytes(after_record) if after_record else 0
        flags = os.O_RDWR | os.O_CREAT | (0 if kept else os.O_TRUNC)
        descriptor = os.open(self._journal_path, flags, 0o600)
        self._journal = os.fdopen(descriptor, "r+b", buffering=0)
        os.fchmod(descriptor, 0o600)
        self._journal.truncate(kept)
        self._journal.seek(kept)
        if not kept:
            self._write(_Beginning(self._digest))
        return bool(kept)

    def add(self, record: Record, problems: Sequence[RowProblem]) -> None:
        """Keep a refused record; it is there when the process is killed right after."""
        self._write(_Entry(record.number, record.raw, tuple(problems)))
        self.count += 1

    def finish(self, form: RecordForm) -> bool:
        """Write both files, if there is a refused record; return whether there is one.

        Args:
            form: what is around the records in a file of the form of the input.
        """
        self.close()
        if self.count:
            self._write_files(form)
        self._journal_path.unlink(missing_ok=True)
        return bool(self.count)

    def close(self) -> None:
        """Close the journal and keep it."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _write_files(self, form: RecordForm) -> None:
        encoder = msgspec.json.Encoder()
        with _new_file(self.path) as records, _new_file(self.reasons_path) as reasons:
            records.write(form.begin)
            separator = b""
            for entry, _ in self._entries():
                records.write(separator + entry.raw)
                separator = form.separator
                for problem in entry.problems:
                    reasons.write(encoder.encode(problem) + b"\n")
            records.write(form.end)

    def _write(self, value: msgspec.Struct) -> None:
        assert self._journal is not None
        data = msgspec.json.encode(value) + b"\n"
        if self._journal.write(data) != len(data):
            raise OSError(None, "the disk is full", str(self._journal_path))

    def _kept_bytes(self, after_record: int) -> int:
        """Return how much of a journal of this import belongs to records that are done."""
        try:
            with self._journal_path.open("rb") as journal:
                first = journal.readline()
                if msgspec.json.decode(first, type=_Beginning).digest != self._digest:
                    return 0
                kept = len(first)
        except (FileNotFoundError, msgspec.MsgspecError):
            return 0
        for entry, end in self._entries():
            if entry.number > after_record:
                break
            kept = end
            self.count += 1
        return kept

    def _entries(self) -> Iterator[tuple[_Entry, int]]:
        """Yield the complete entries of the journal, with the position after each."""
        decoder = msgspec.json.Decoder(_Entry)
        with self._journal_path.open("rb") as journal:
            end = len(journal.readline())
            for line in journal:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                yield decoder.decode(line), end


@contextlib.contextmanager
def _new_file(path: Path) -> Generator[BinaryIO]:
    """Open a file that is not there yet, for its owner only; it is on the disk afterwards."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
