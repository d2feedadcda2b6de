"""The file of a backup: a tar archive of compressed parts, and a manifest with their digests.

``dragoman-backup.json`` comes first and says what the file is. Then come the rows of each table,
as arrays in JSON lines, in parts of a few megabytes. ``manifest.json`` and its digest come last,
so that a file that was cut off has none.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import msgspec

from dragoman.actions.transfer.output_file import complete_file, part_path

FORMAT = 1
"""The version of the file's format; a program reads this one and earlier ones."""
HEADER, MANIFEST, MANIFEST_DIGEST = "dragoman-backup.json", "manifest.json", "manifest.sha256"
PART_SIZE = 4 * 2**20
"""Size from which a part is complete, in bytes before compression."""
MAX_PART_SIZE = 512 * 2**20
"""Maximum size of a part, in bytes before compression."""
MAX_MANIFEST_SIZE = 64 * 2**20
"""Maximum size of a manifest, in bytes."""
COMPRESSION_LEVEL = 3


class BackupError(Exception):
    """The file cannot be used as a backup; the message says why in one sentence."""


class Header(msgspec.Struct, frozen=True):
    """What the file is: its format, and the schema and program that it comes from."""

    format: int
    schema: str
    program: str
    created_at: str


class Part(msgspec.Struct, frozen=True):
    """One part of a table; the digest is that of the rows before compression."""

    name: str
    rows: int
    sha256: str


class TableManifest(msgspec.Struct, frozen=True):
    """One table: its columns as (name, type), how many rows it has, and in which parts they are."""

    name: str
    columns: list[tuple[str, str]]
    rows: int
    parts: list[Part]


class Manifest(msgspec.Struct, frozen=True):
    """Contents of the file; ``last_ids`` are the newest ids that were ever given out, by table."""

    header: Header
    tables: list[TableManifest]
    last_ids: dict[str, int]


@contextmanager
def write_snapshot(path: Path, header: Header) -> Generator[SnapshotWriter]:
    """Return a context manager for writing a backup; the file gets its name if it ends well.

    Args:
        path: the name of the file; it must not exist.
        header: what the file is.

    Raises:
        BackupError: there is such a file already.
        OSError: the file cannot be written.
    """
    if path.exists():
        raise BackupError(f"{path} exists already")
    with complete_file(path) as file:
        yield SnapshotWriter(file, part_path(path), header)


class SnapshotWriter:
    """Writes a backup to an open file.

    Args:
        file: the file.
        path: its path, from which it is read back.
        header: what the file is.
    """

    def __init__(self, file: BinaryIO, path: Path, header: Header) -> None:
        self._file = file
        self._path = path
        self._tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)
        self._header = header
        self._tables: list[TableManifest] = []
        self._encoder = msgspec.json.Encoder()
        self._add(HEADER, self._encoder.encode(header))

    def _add(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), 0o600
        self._tar.addfile(member, io.BytesIO(data))

    @contextmanager
    def table(self, name: str, columns: list[tuple[str, str]]) -> Generator[TableWriter]:
        """Return a context manager for writing one table's rows."""
        writer = TableWriter(name, self._encoder, self._add)
        yield writer
        parts = writer.finish()
        rows = sum(part.rows for part in parts)
        self._tables.append(TableManifest(name, columns, rows, parts))

    def finish(self, last_ids: dict[str, int]) -> Manifest:
        """Write the manifest, and read the whole file back to verify it; raises BackupError."""
        manifest = Manifest(self._header, self._tables, last_ids)
        data = self._encoder.encode(manifest)
        self._add(MANIFEST, data)
        self._add(MANIFEST_DIGEST, hashlib.sha256(data).hexdigest().encode())
        self._tar.close()
        self._file.flush()
        with SnapshotReader(self._path) as reader:
            if reader.manifest != manifest:
                raise BackupError(f"{self._path} does not read as it was written")
            reader.verify()
        return manifest


class TableWriter:
    """Writes the rows of one table in parts."""

    def __init__(self, name: str, encoder: msgspec.json.Encoder, add: Any) -> None:
        self._name = name
        self._encoder = encoder
        self._add = add
        self._lines = bytearray()
        self._rows = 0
        self._parts: list[Part] = []

    def write(self, rows: list[list[Any]]) -> None:
        """Write rows; each is a list of values."""
        self._lines += self._encoder.encode_lines(rows)
        self._rows += len(rows)
        if len(self._lines) >= PART_SIZE:
            self._end_part()

    def _end_part(self) -> None:
        name = f"tables/{self._name}/{len(self._parts) + 1:06d}.ndjson.gz"
        digest = hashlib.sha256(self._lines).hexdigest()
        self._add(name, gzip.compress(self._lines, COMPRESSION_LEVEL, mtime=0))
        self._parts.append(Part(name, self._rows, digest))
        self._lines, self._rows = bytearray(), 0

    def finish(self) -> list[Part]:
        """Write the last part and return all of them."""
        if self._rows:
            self._end_part()
        return self._parts


class SnapshotReader:
    """Reads a backup; reads its manifest at once, and checks each part before it returns rows.

    Raises BackupError if the file is not a backup, is incomplete or damaged, or has a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        try:
            self._tar = self._open_tar()
            self._members: dict[str, tarfile.TarInfo] = {}
            self.manifest = self._read_manifest()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SnapshotReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def _open_tar(self) -> tarfile.TarFile:
        try:
            tar = tarfile.TarFile(fileobj=self._file, mode="r")
            first = tar.next()
        except tarfile.TarError:
            tar = first = None
        if tar is None or first is None or first.name != HEADER:
            raise BackupError(f"{self.path} is not a backup of dragoman")
        return tar

    def _read_manifest(self) -> Manifest:
        try:
            self._members = {member.name: member for member in self._tar if member.isreg()}
            header = _decode(self._read(HEADER, MAX_MANIFEST_SIZE), _AnyHeader)
        except (tarfile.TarError, msgspec.MsgspecError, OSError) as error:
            raise self._damaged() from error
        if header.format > FORMAT:
            raise BackupError(
                f"{self.path} has format {header.format}, but this program reads up to {FORMAT}: "
                f"upgrade dragoman (the backup was made by {header.program})"
            )
        if MANIFEST_DIGEST not in self._members:
            raise BackupError(f"{self.path} is incomplete: its end is missing")
        data = self._read(MANIFEST, MAX_MANIFEST_SIZE)
        digest = self._read(MANIFEST_DIGEST, 64)
        if hashlib.sha256(data).hexdigest().encode() != digest:
            raise self._damaged(MANIFEST)
        try:
            return _decode(data, Manifest)
        except msgspec.MsgspecError as error:
            raise self._damaged(MANIFEST) from error

    def _read(self, name: str, limit: int) -> bytes:
        member = self._members.get(name)
        file = self._tar.extractfile(member) if member is not None else None
        if member is None or file is None or member.size > limit:
            raise self._damaged(name)
        data = file.read()
        if len(data) != member.size:
            raise self._damaged(name)
        return data

    def _damaged(self, name: str = "") -> BackupError:
        return BackupError(f"{self.path} is damaged{f': {name}' if name else ''}")

    def _read_part(self, part: Part) -> bytes:
        """Return the rows of a part, as JSON lines."""
        data = self._read(part.name, MAX_PART_SIZE)
        decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            lines = decompressor.decompress(data, MAX_PART_SIZE)
        except zlib.error as error:
            raise self._damaged(part.name) from error
        if hashlib.sha256(lines).hexdigest() != part.sha256 or lines.count(b"\n") != part.rows:
            raise self._damaged(part.name)
        return lines

    def verify(self) -> None:
        """Check every part against the manifest; raises BackupError."""
        for table in self.manifest.tables:
            if sum(part.rows for part in table.parts) != table.rows:
                raise self._damaged(table.name)
            for part in table.parts:
                self._read_part(part)

    def rows(self, table: TableManifest) -> Iterator[list[list[Any]]]:
        """Yield the rows of a table, part by part; each row is a list of values."""
        decoder = msgspec.json.Decoder(list[Any])
        for part in table.parts:
            rows = decoder.decode_lines(self._read_part(part))
            if any(len(row) != len(table.columns) for row in rows):
                raise self._damaged(part.name)
            yield rows


class _AnyHeader(msgspec.Struct, frozen=True):
    """The header of a file of any format."""

    format: int
    program: str = ""


def _decode(data: bytes, kind: Any) -> Any:
    return msgspec.json.decode(data, type=kind)
