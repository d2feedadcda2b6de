"""What a person is told of refused rows, also after a kill."""

from __future__ import annotations

import json

from dragoman.actions.transfer.records import Record, RecordForm, RowProblem, Tally
from dragoman.actions.transfer.rejects import Rejects
from dragoman.cli.import_report import ImportReporter, warnings
from dragoman.cli.progress import on_standard_error


def refuse(reporter: ImportReporter, *numbers: int) -> None:
    for number in numbers:
        record = Record(number, number, {}, b'{"n":%d}' % number, 0)
        reporter.refuse(record, [RowProblem(number, "email", "taken", f"email: {number} in use")])


def reporter_for(path) -> ImportReporter:
    return ImportReporter(on_standard_error(), Rejects(path, "digest"))


def test_an_import_goes_on_with_the_rows_refused_before_a_kill(tmp_path, capsys) -> None:
    path = tmp_path / "bad"
    killed = reporter_for(path)
    killed.begin("write", 100)
    refuse(killed, 1, 4)  # the chunk of 4 was not committed
    killed.end()

    resumed = reporter_for(path)
    resumed.begin("write", 100)
    resumed.resume(3, 3)
    refuse(resumed, 5)
    resumed.end()
    resumed.finish(RecordForm())
    assert path.read_bytes() == b'{"n":1}\n{"n":5}\n'
    reasons = (tmp_path / "bad.reasons.ndjson").read_text().splitlines()
    assert [json.loads(line)["line"] for line in reasons] == [1, 5]
    shown = capsys.readouterr().err
    assert "line 5: email: 5 in use" in shown
    assert "line 1:" in shown  # by the killed one


def test_a_chunk_that_is_written_again_is_reported_once(tmp_path, capsys) -> None:
    path = tmp_path / "bad"
    reporter = reporter_for(path)
    reporter.begin("write", 100)
    refuse(reporter, 2)
    reporter.resume(0, 0)
    refuse(reporter, 2, 3)
    reporter.end()
    reporter.finish(RecordForm())
    assert path.read_bytes() == b'{"n":2}\n{"n":3}\n'
    assert capsys.readouterr().err.count("in use") == 2


def test_rows_refused_in_another_file_are_missed_aloud(tmp_path, capsys) -> None:
    reporter = reporter_for(tmp_path / "bad")
    reporter.begin("write", 100)
    reporter.resume(7, 7)
    reporter.end()
    reporter.finish(RecordForm())
    assert "bad rows up to record 7 are not in it" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_only_the_first_problems_are_shown(capsys) -> None:
    reporter = ImportReporter(on_standard_error(), None)
    reporter.begin("check", 100)
    refuse(reporter, *range(1, 1001))
    reporter.end()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "… and 980 more refused rows (--rejects FILE writes all of them)"


def test_warnings_are_counted() -> None:
    tally = Tally(warnings={"no second address": 1, "no second factor": 1200})
    assert list(warnings(tally)) == [
        "warning: no second factor (1,200 rows)",
        "warning: no second address (1 row)",
    ]
