"""What holds for every file: what is written is read back, and nothing else is ever raised."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import tempfile
from pathlib import Path

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dragoman.actions.transfer.readers.csv_table import CsvTable
from dragoman.actions.transfer.readers.detect import FORMATS, open_records
from dragoman.actions.transfer.readers.encodings import TextFile
from dragoman.actions.transfer.readers.json_lines import JsonLines
from dragoman.actions.transfer.readers.json_list import JsonList
from dragoman.actions.transfer.readers.ldif import Ldif
from dragoman.actions.transfer.records import ROW_CODES, FileOptions, FileProblem, Record

CELLS = st.text(
    st.sampled_from("ab\"',;\t|\n\r \\Néß🐘\u2028\x0b\x00") | st.characters(codec="utf-8")
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=6)
BLOCKS = st.sampled_from([1, 2, 3, 7, 64, 256 * 1024])


def file_of(content: bytes, **options) -> TextFile:
    """Return a file with this content."""
    with tempfile.NamedTemporaryFile(delete=False, dir=DIRECTORY.name) as file:
        file.write(content)
    return TextFile(Path(file.name), **options)


DIRECTORY = tempfile.TemporaryDirectory()


@settings(max_examples=60)
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    block_bytes=BLOCKS,
)
def test_a_table_that_is_written_is_read(rows, delimiter, quoting, encoding, block_bytes) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)
    writer.writerows([["a", "b", "c"], *rows])
    content = text.getvalue().encode(encoding)
    table = CsvTable(file_of(content, block_bytes=block_bytes), FileOptions())
    records = list(table)
    is_null = {"NULL", "\\N"} if quoting == csv.QUOTE_MINIMAL else set()
    written = [[None if cell in is_null else cell for cell in row] for row in rows if any(row)]
    assert [list(record.values.values()) for record in records] == written
    assert not [record for record in records if record.problem]
    # The lines are those on which the records begin, and the bytes are the file's.
    lines = list(io.StringIO(text.getvalue(), newline=""))
    for record in records:
        rest = "".join(lines[record.line - 1 :])
        assert rest.startswith(record.raw.decode(table.encoding))


@settings(max_examples=60)
@given(objects=st.lists(OBJECTS, max_size=8), ascii_=st.booleans(), block_bytes=BLOCKS)
def test_lines_that_are_written_are_read(objects, ascii_, block_bytes) -> None:
    assume(objects)
    lines = [json.dumps(each, ensure_ascii=ascii_) for each in objects]
    content = "\n".join(lines).encode()
    records = list(JsonLines(file_of(content, block_bytes=block_bytes)))
    assert [record.values for record in records] == objects
    assert [record.raw.decode() for record in records] == lines


@settings(max_examples=60)
@given(
    objects=st.lists(OBJECTS, max_size=5),
    around=OBJECTS,
    indent=st.sampled_from([None, 1]),
    ascii_=st.booleans(),
    block_bytes=BLOCKS,
)
def test_a_list_that_is_written_is_read(objects, around, indent, ascii_, block_bytes) -> None:
    document = {**around, "people": objects, "last": around}
    content = json.dumps(document, ensure_ascii=ascii_, indent=indent).encode()
    records = list(JsonList(file_of(content, block_bytes=block_bytes), ["people"]))
    assert [record.values for record in records] == objects
    assert [json.loads(record.raw) for record in records] == objects


@settings(max_examples=60)
@given(entries=st.lists(st.lists(TEXTS, min_size=1, max_size=4), max_size=5), block_bytes=BLOCKS)
def test_entries_that_are_written_are_read(entries, block_bytes) -> None:
    text = "version: 1\n"
    for values in entries:
        text += "\ndn: x\n"
        for value in values:
            line = "cn:: " + base64.b64encode(value.encode()).decode()
            text += "\n ".join(line[start : start + 20] for start in range(0, len(line), 20)) + "\n"
    records = list(Ldif(file_of(text.encode(), block_bytes=block_bytes)))
    assert [record.values["cn"] for record in records] == entries


PIECES = st.sampled_from(
    [b"a,b\n", b'"', b"{", b"}", b"[", b"]", b'{"a":1}', b":", b",", b"\n", b"\r\n", b"dn: x\n",
     b"cn:: /w==\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\xe9", b"\\", b"NULL", b"# x\n",
     b" ", b"\xed\xa0\x80", b"1e999", b'"\\ud800"', b"version: 1\n", b"sep=;\n"]
)  # fmt: skip
BYTES = st.binary(max_size=60) | st.lists(PIECES, max_size=30).map(b"".join)


def read_all(content: bytes, block_bytes: int, **options) -> list[Record] | str:
    """Return the records, or why there are none."""
    try:
        file = file_of(content, encoding=options.get("encoding", ""), block_bytes=block_bytes)
        reader = {"ndjson": JsonLines, "json": JsonList, "ldif": Ldif}.get(options["format"])
        return list(reader(file) if reader else CsvTable(file, FileOptions(**options)))
    except FileProblem as error:
        return str(error)


@settings(max_examples=300)
@given(
    content=BYTES,
    format_=st.sampled_from(FORMATS),
    encoding=st.sampled_from(["", "utf-8", "cp1252", "utf-16", "utf-16-be", "gbk", "shift_jis"]),
    block_bytes=BLOCKS,
)
@example(b'{"a":"\\ud800', "json", "", 1)
def test_any_bytes_are_read_or_refused(content, format_, encoding, block_bytes) -> None:
    records = read_all(content, block_bytes, format=format_, encoding=encoding)
    whole = read_all(content, 256 * 1024, format=format_, encoding=encoding)
    if isinstance(records, str) or isinstance(whole, str):
        assert isinstance(records, type(whole))
        return
    # Where the file is cut into blocks changes nothing but how far it is read.
    assert [(r.number, r.line, r.values, r.raw, r.problem) for r in records] == [
        (r.number, r.line, r.values, r.raw, r.problem) for r in whole
    ]
    for record in records:
        assert record.problem is None or record.problem.code in ROW_CODES
        assert record.problem is None or not record.values
        assert record.raw in content or encoding == "shift_jis"


@settings(max_examples=200)
@given(content=BYTES)
def test_any_bytes_have_a_format_or_are_refused(content) -> None:
    with contextlib.suppress(FileProblem):
        list(open_records(file_of(content or b" ").path, FileOptions()))
