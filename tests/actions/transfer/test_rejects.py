"""The file of refused records can be corrected and read again; the reasons are beside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.records import FileOptions, Record, RowProblem
from dragoman.actions.transfer.rejects import Rejects

SAMPLES = Path(__file__).with_name("samples")


def problem(line: int) -> RowProblem:
    return RowProblem(line, "email", "taken", "email: already in use")


@pytest.mark.parametrize(
    ("name", "list_path", "encoding"),
    [
        ("messy.csv", "", ""),
        ("messy-semicolon-latin1.csv", "", "cp1252"),
        ("aspnet-AspNetUsers.csv", "", ""),
        ("pocketbase-users.csv", "", ""),
        ("messy.ndjson", "", ""),
        ("openldap.ldif", "", ""),
        ("django-dumpdata.json", "", ""),
        ("keycloak-realm.json", "users", ""),
        ("zitadel-import.json", "data_orgs.orgs.humanUsers", ""),
    ],
)
def test_refused_records_are_read_as_they_were(tmp_path, name, list_path, encoding) -> None:
    options = FileOptions(encoding=encoding)
    source = open_records(SAMPLES / name, options, list_paths=[list_path])
    # An empty line before the last record would be lost: it is not one.
    refused = [record for record in source if record.number % 3]
    rejects = Rejects(tmp_path / "bad", "digest")
    rejects.begin(after_record=0)
    for record in refused:
        rejects.add(record, [problem(record.line), problem(record.line)])
    assert rejects.finish(source.form)

    again = open_records(tmp_path / "bad", options, list_paths=[list_path])
    assert (again.format, again.encoding, again.header) == (
        source.format,
        source.encoding,
        source.header,
    )
    records = list(again)
    assert [record.values for record in records] == [record.values for record in refused]
    assert [record.raw for record in records] == [record.raw for record in refused]
    if source.format == "json":
        json.loads((tmp_path / "bad").read_text())
    reasons = [
        json.loads(line) for line in (tmp_path / "bad.reasons.ndjson").read_text().splitlines()
    ]
    assert reasons[:2] == [
        {"line": refused[0].line, "field": "email", "code": "taken",
         "message": "email: already in use"}
    ] * 2  # fmt: skip
    assert len(reasons) == 2 * len(refused)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "bad.reasons.ndjson"]


def test_no_file_is_replaced(tmp_path) -> None:
    (tmp_path / "bad").touch()
    with pytest.raises(FileExistsError):
        Rejects(tmp_path / "bad", "")
    (tmp_path / "other.reasons.ndjson").touch()
    with pytest.raises(FileExistsError):
        Rejects(tmp_path / "other", "")


def test_without_a_refused_record_there_is_no_file(tmp_path) -> None:
    rejects = Rejects(tmp_path / "bad", "")
    rejects.begin(after_record=0)
    assert not rejects.finish(open_records(SAMPLES / "messy.csv", FileOptions()).form)
    assert list(tmp_path.iterdir()) == []


def record(line: int) -> Record:
    return Record(line, line, {}, b'{"a":%d}' % line, 0)


def test_the_next_run_goes_on_with_what_was_refused(tmp_path) -> None:
    path = tmp_path / "bad"
    killed = Rejects(path, "digest")
    killed.begin(after_record=0)
    for line in (2, 5, 9):
        killed.add(record(line), [problem(line)])
    killed.close()
    with (tmp_path / "bad.part").open("ab") as journal:
        journal.write(b'{"line":11,"raw":"')  # cut by the kill

    next_run = Rejects(path, "digest")
    assert next_run.begin(after_record=5)
    assert next_run.count == 2
    next_run.add(record(7), [problem(7)])
    assert next_run.finish(open_records(SAMPLES / "messy.ndjson", FileOptions()).form)
    assert path.read_bytes() == b'{"a":2}\n{"a":5}\n{"a":7}\n'
    assert (tmp_path / "bad.reasons.ndjson").read_text().count("\n") == 3


def test_the_journal_of_another_import_is_not_taken(tmp_path) -> None:
    killed = Rejects(tmp_path / "bad", "digest")
    killed.begin(after_record=0)
    killed.add(record(2), [problem(2)])
    killed.close()
    other = Rejects(tmp_path / "bad", "another")
    assert not other.begin(after_record=5)
    assert other.count == 0
    assert not other.finish(open_records(SAMPLES / "messy.ndjson", FileOptions()).form)
    assert list(tmp_path.iterdir()) == []
