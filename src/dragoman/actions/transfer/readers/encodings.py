"""Files as text: encodings, byte order marks, blocks and lines, with flat memory."""

from __future__ import annotations

import codecs
import io
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

from dragoman.actions.transfer.records import FileProblem, RecordForm, RowProblem

BLOCK_BYTES = 256 * 1024
HEAD_BYTES = 64 * 1024
"""Bytes at the beginning of a file by which its format is found out."""
MAX_RECORD_CHARACTERS = 1024 * 1024
"""Maximum length of one record; a longer one ends the import, so that memory stays flat."""

BYTE_ORDER_MARKS = (  # the longer ones first: UTF-32 LE begins like UTF-16 LE
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
NO_TEXT = (
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"\xfd7zXZ", "an xz file: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file: unpack it first"),
    (b"PK\x03\x04", "a zip file or a workbook: unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "a workbook: save the sheet as CSV"),
    (b"SQLite format 3\0", "a SQLite database: export its table of users as CSV"),
    (b"PGDMP", "a PostgreSQL dump: export the table of users as CSV"),
    (b"%PDF", "a PDF file"),
)
"""What files begin with that are no text, and what they are."""
UNUSABLE_ENCODINGS = ("punycode", "idna", "unicode_escape", "raw_unicode_escape", "hz")
"""They take quadratic time, or are no encodings of files."""


class TextFile:
    """A file, decoded block by block.

    A byte that is not in the encoding becomes a lone surrogate, which ``encode`` rejects: so the
    record that holds it is refused, and the others are read.
    A regular file can be read several times; a pipe once.

    Args:
        path: the file.
        encoding: its encoding; empty: by its byte order mark, else UTF-8.
        block_bytes: how much is read and decoded at once.

    Raises FileProblem if the encoding is unknown, or if the file is empty or no text.
    """

    def __init__(self, path: Path, encoding: str = "", block_bytes: int = BLOCK_BYTES) -> None:
        self.path = path
        self._block_bytes = block_bytes
        self.position = 0
        """Bytes that are read."""
        mode = path.stat().st_mode
        self.size = path.stat().st_size if stat.S_ISREG(mode) else 0
        """Bytes of the file; 0 if they are not known."""
        self._is_regular = stat.S_ISREG(mode)
        self._pipe: IO[bytes] | None = None
        file = path.open("rb", buffering=0)
        try:
            self._head = _read_head(file)
            self.byte_order_mark, self.encoding = _find_encoding(self._head, encoding)
            self.decoding_errors = "surrogatepass" if self.is_wide else "surrogateescape"
            self.head_is_all = len(self._head) < HEAD_BYTES
            self.head = self._decode_head()
            """The text of the beginning of the file, without a byte order mark."""
            if not self._is_regular:
                self._pipe = file
        finally:
            if self._pipe is None:
                file.close()

    def close(self) -> None:
        """Close a pipe that is not read."""
        if self._pipe is not None:
            self._pipe.close()

    @property
    def is_wide(self) -> bool:
        """Whether a character takes more than one byte even if it is ASCII."""
        return self.encoding.startswith(("utf-16", "utf-32"))

    def blocks(self) -> Iterator[str]:
        """Yield the text in pieces; raises FileProblem if it ends within a character."""
        decoder = codecs.getincrementaldecoder(self.encoding)(self.decoding_errors)
        pipe, self._pipe = self._pipe, None
        if pipe is None and not self._is_regular:
            _refuse("a pipe can be read only once: copy it to a file")
        file = pipe or self.path.open("rb", buffering=0)
        with file:
            skip = len(self.byte_order_mark)
            data = self._head if pipe else file.read(self._block_bytes)
            self.position = 0
            while data:
                self.position += len(data)
                yield self._decode(decoder, data[skip:])
                skip = max(0, skip - len(data))
                data = file.read(self._block_bytes)
            yield self._decode(decoder, b"", final=True)

    def lines(self) -> Iterator[list[str]]:
        """Yield lists of lines with their ends (LF, CRLF or CR).

        Raises FileProblem if a line is longer than ``MAX_RECORD_CHARACTERS``.
        """
        rest, count = "", 0
        for block in self.blocks():
            text = rest + block
            lines = list(io.StringIO(text, newline=""))
            # A CR at the end of a block may be the first half of a CRLF.
            rest = lines.pop() if lines and not lines[-1].endswith("\n") else ""
            if len(text) > MAX_RECORD_CHARACTERS:
                for number, line in enumerate((*lines, rest), count + 1):
                    if len(line) > MAX_RECORD_CHARACTERS:
                        raise_too_long(number, MAX_RECORD_CHARACTERS + 1)
            count += len(lines)
            if lines:
                yield lines
        if rest:
            yield [rest]

    def encode(self, text: str) -> bytes:
        """Return the bytes that a text had in the file; raises UnicodeEncodeError for bad ones."""
        return text.encode(self.encoding)

    def encode_as_it_is(self, text: str) -> bytes:
        """Return the bytes that a text had in the file, good and bad."""
        return text.encode(self.encoding, self.decoding_errors)

    def form(self, begin: str, separator: str, end: str) -> RecordForm:
        """Return what is around records in a file with this encoding and byte order mark."""
        return RecordForm(
            self.byte_order_mark + self.encode_as_it_is(begin),
            self.encode(separator),
            self.encode(end),
        )

    def bad_character(self, line: int, text: str, error: UnicodeEncodeError) -> RowProblem:
        """Return the problem of a record with a byte that is not in the encoding.

        Args:
            line: the physical line on which the record begins.
            text: the record.
            error: what ``encode`` raised.
        """
        start = error.start
        begin = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
        at = f"line {line + count_lines(text, 0, start)}, column {start - begin + 1}"
        if self.is_wide:
            message = f"{at}: half of a surrogate pair"
        else:
            byte = ord(text[start]) & 0xFF
            message = (
                f"{at}: byte 0x{byte:02X} is not {self.encoding.upper()} "
                f"(--encoding names another encoding)"
            )
        return RowProblem(line, "", "encoding", message)

    def _decode(
        self, decoder: codecs.IncrementalDecoder, data: bytes, *, final: bool = False
    ) -> str:
        try:
            return decoder.decode(data, final)
        except UnicodeError:
            raise FileProblem(
                RowProblem(
                    0, "", "encoding", f"not {self.encoding.upper()}, from byte {self.position} on"
                )
            ) from None

    def _decode_head(self) -> str:
        decoder = codecs.getincrementaldecoder(self.encoding)(self.decoding_errors)
        return self._decode(decoder, self._head[len(self.byte_order_mark) :])


def count_lines(text: str, start: int, end: int) -> int:
    """Return how many lines (ended by LF, CRLF or CR) end between two positions of a text."""
    line_feeds = text.count("\n", start, end)
    returns = text.count("\r", start, end)
    return line_feeds + returns - text.count("\r\n", start, end) if returns else line_feeds


def without_line_end(text: str) -> str:
    """Return a line without its line end."""
    return text.removesuffix("\n").removesuffix("\r")


def raise_too_long(line: int, column: int) -> NoReturn:
    """Raise FileProblem for a record that is longer than ``MAX_RECORD_CHARACTERS``."""
    raise FileProblem(
        RowProblem(
            line,
            "",
            "too_long",
            f"line {line}, column {column}: the record is longer than "
            f"{MAX_RECORD_CHARACTERS // 1024} KiB",
        )
    )


def _read_head(file: io.FileIO) -> bytes:
    """Return the first bytes; a pipe may deliver them in many small pieces."""
    head = b""
    while len(head) < HEAD_BYTES and (data := file.read(HEAD_BYTES - len(head))):
        head += data
    return head


def _find_encoding(head: bytes, encoding: str) -> tuple[bytes, str]:
    """Return the byte order mark (empty if there is none) and Python's name of the encoding."""
    if not head:
        _refuse("the file is empty")
    for magic, what in NO_TEXT:
        if head.startswith(magic):
            _refuse(f"the file is {what}")
    mark, found = next(
        ((mark, name) for mark, name in BYTE_ORDER_MARKS if head.startswith(mark)), (b"", "")
    )
    wanted = _codec_name(encoding) if encoding else ""
    if wanted in {"utf-16", "utf-32"}:  # the byte order mark decides
        return (mark, found) if found.startswith(wanted) else (b"", f"{wanted}-le")
    if not wanted:
        wanted = found or "utf-8"
        if not found and b"\0" in head[:4] and head.strip(b"\0"):
            _refuse("UTF-16 without a byte order mark: --encoding utf-16-le or utf-16-be")
    return (mark if found == wanted else b""), wanted


def _codec_name(encoding: str) -> str:
    try:
        codec = codecs.lookup(encoding)
        name = codec.name.lower()
        plain = bytes(range(0x20, 0x7F)).decode() + "\t\r\n"
        is_text = getattr(codec, "_is_text_encoding", True) and name not in UNUSABLE_ENCODINGS
        usable = is_text and (
            name.startswith(("utf-16", "utf-32")) or plain.encode().decode(name) == plain
        )
    except (LookupError, UnicodeError, ValueError):
        usable = False
        name = ""
    if not usable:
        _refuse(f"--encoding: {encoding!r} is not a known encoding of text")
    return "utf-8" if name == "utf-8-sig" else name


def _refuse(message: str) -> NoReturn:
    raise FileProblem(RowProblem(0, "", "encoding", message))
