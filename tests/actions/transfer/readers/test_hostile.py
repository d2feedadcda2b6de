"""Files that are endless, huge or broken: an error with its place, and flat memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dragoman.actions.transfer.readers.detect import FORMATS, open_records
from dragoman.actions.transfer.records import FileOptions, FileProblem

MEASURE = """
import resource, sys
from pathlib import Path
from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.records import FileOptions, FileProblem

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak()
try:
    count = bad = 0
    options = FileOptions(format=sys.argv[2])
    for record in open_records(Path(sys.argv[1]), options, list_paths=sys.argv[3:]):
        count += 1
        bad += record.problem is not None
    print(f"{count} records, {bad} bad")
except FileProblem as error:
    print(error)
print(f"{(peak() - before) // 1024} MiB", file=sys.stderr)
"""
"""Reads a file in a process of its own, and says by how much its memory grew."""
MAX_GROWTH_MIB = 40


def measure(path: Path, format_: str, *list_paths: str) -> str:
    """Return what reading a file printed; assert that memory stayed flat."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), format_, *list_paths],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(done.stderr.split()[0]) < MAX_GROWTH_MIB
    return done.stdout.strip()


@pytest.mark.parametrize("format_", FORMATS)
def test_a_line_of_100_megabytes(tmp_path, format_) -> None:
    path = tmp_path / "people"
    first = {"csv": "a,b\n1,", "tsv": "a\tb\n1\t", "ndjson": '{"a":"', "json": '[\n{"a":"'}
    with path.open("w") as file:
        file.write(first.get(format_, "dn: a\nb: "))
        for _ in range(100):
            file.write("x" * 1_000_000)
    answer = measure(path, format_)
    line = 1 if format_ in {"ndjson", "ldif"} else 2
    line = 2 if format_ == "ldif" else line
    assert answer == f"line {line}, column 1048577: the record is longer than 1024 KiB"


@pytest.mark.parametrize("format_", FORMATS)
def test_input_without_end(format_) -> None:
    answer = measure(Path("/dev/zero"), format_)
    assert answer.startswith("line 1, column "), answer


def test_a_million_columns(tmp_path) -> None:
    path = tmp_path / "people"
    path.write_text("a," * 1_000_000)
    assert measure(path, "") == "line 1, column 65536: the header is longer than 64 KiB"
    path.write_text("a,b\n" + "1," * 500_000 + "\n1,2\n")
    assert measure(path, "") == "2 records, 1 bad"
    path.write_text(",".join(f"c{index}" for index in range(1001)) + "\n")
    assert measure(path, "") == "line 1: 1001 columns, at most 1000"


def test_a_quote_that_is_never_closed_in_a_long_file(tmp_path) -> None:
    path = tmp_path / "people"
    with path.open("w") as file:
        file.write('a,b\n1,"x\n')
        for _ in range(100):
            file.write("2,yyyyyyyyyyyyyyyyyyyy\n" * 4000)
    assert measure(path, "csv") == "400001 records, 1 bad"


def test_a_list_in_a_long_document(tmp_path) -> None:
    path = tmp_path / "people"
    with path.open("w") as file:
        file.write('{"skipped": [')
        for _ in range(100):
            file.write('{"a": [1, 2, {"b": "\\"]"}]},\n' * 3000)
        file.write('1, "')
        for _ in range(10):
            file.write("x\\n" * 1_000_000)
        file.write('"], "people": [{"a": 1}')
        for _ in range(100):
            file.write(',{"a": "yyyyyyyyyyyyyyyyyyyyyyyy"}\n' * 1000)
        file.write("]}")
    assert measure(path, "json", "people") == "100001 records, 0 bad"


def test_a_pipe_is_read_once_as_it_comes(tmp_path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("w") as pipe:
            pipe.write("a,b\n")
            for index in range(50_000):
                pipe.write(f"{index},x\n")

    writer = threading.Thread(target=write)
    writer.start()
    source = open_records(path, FileOptions())
    assert source.size == 0
    values = [int(record.values["a"]) for record in source]
    writer.join()
    assert values == list(range(50_000))


def test_a_pipe_that_is_refused_is_closed(tmp_path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b"PK\x03\x04"))
    writer.start()
    with pytest.raises(FileProblem, match="a zip file"):
        open_records(path, FileOptions())
    writer.join()


def test_a_missing_file_and_a_directory(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        open_records(tmp_path / "missing", FileOptions())
    with pytest.raises(IsADirectoryError):
        open_records(tmp_path, FileOptions())
