"""What people read: tables on narrow terminals and in pipes, CSV, NO_COLOR and TERM=dumb."""

from __future__ import annotations

import csv
import io
import re
import sys
from typing import Any

import msgspec
import pytest

from dragoman.cli import render, tables
from tests.support.pseudo_terminal import output_of
from tests.support.server import dragoman_command, environment
from tests.support.terminal import Terminal

TIME = "2026-12-01T09:30:00.123456Z"


class Row(msgspec.Struct):
    """A record of every kind of value."""

    id: int
    email: str | None
    active: bool
    last_login_at: str | None
    permissions: tuple[str, ...] | str = ""
    source: str = msgspec.field(name="from", default="")


COLUMNS = ("id", "email", "active", "last_login_at")
LONG = Row(12345, "firstname.lastname@department.example.com", True, TIME)
EMPTY = Row(2, None, False, None)


class Screen(io.StringIO):
    """Standard output that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, columns: int, *rows: Row) -> str:
    """Return the table of these rows on a terminal of this width."""
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    table = tables.Table(COLUMNS)
    table.show([tuple(getattr(row, name) for name in COLUMNS) for row in rows])
    return sys.stdout.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("columns", [24, 40, 52, 60, 80, 200])
def test_nothing_is_cut_and_no_line_is_too_long(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    text = shown(monkeypatch, columns, LONG, EMPTY)
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text
    assert all(name in text for name in COLUMNS)
    if columns <= 40:  # in blocks, a value goes on below itself
        assert "firstname.lastname@department.example.com" in re.sub(r"\s", "", text)
    if columns > 36:  # else there is no room for a heading and a time in one line
        assert "2026-12-01T09:30:00Z" in text
        assert "12345" in text


def test_texts_go_on_in_the_next_line_before_records_become_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folded = shown(monkeypatch, 60, LONG).splitlines()
    assert folded[0].split() == list(COLUMNS)
    assert folded[1].split()[0] == "12345"
    rest = "".join(line.split()[-1] for line in folded[2:])
    assert folded[1].split()[1] + rest == LONG.email
    blocks = shown(monkeypatch, 40, LONG, EMPTY).splitlines()
    assert blocks[0].split() == ["id", "12345"]
    assert [line.split()[:1] for line in blocks].count([]) == 1, "an empty line between records"


def test_a_pipe_gets_lines_of_any_length(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    tables.Table(COLUMNS).show([tuple(getattr(LONG, name) for name in COLUMNS)])
    header, line = capsys.readouterr().out.splitlines()
    assert line.split() == ["12345", LONG.email, "yes", "2026-12-01T09:30:00Z"]
    assert header.index("active") == line.index("yes")


def csv_rows(capfdbinary: pytest.CaptureFixture[bytes], *rows: Row) -> list[list[str]]:
    writer = render.ListWriter("csv", ("id",), Row)
    for row in rows:
        writer.add([row])
    writer.close()
    text = capfdbinary.readouterr().out.decode()
    assert text.endswith("\r\n")
    return list(csv.reader(io.StringIO(text, newline="")))


def test_csv(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    held = Row(1, 'a "b", c', True, TIME, ("users.view", "users.create"), "role")
    header = ["id", "email", "active", "last_login_at", "permissions", "from"]
    assert csv_rows(capfdbinary) == [header]
    assert csv_rows(capfdbinary, held, EMPTY) == [
        header,
        ["1", 'a "b", c', "true", TIME, "users.view users.create", "role"],
        ["2", "", "false", "", "", ""],
    ]


@pytest.mark.parametrize("text", ["=1+1", "+49 30", "-1", "@SUM(A1)", "\t=1", "'=1"])
def test_csv_has_no_formulas(capfdbinary: pytest.CaptureFixture[bytes], text: str) -> None:
    (_, row) = csv_rows(capfdbinary, Row(-1, text, True, None))
    assert row[0] == "-1", "a number is a number"
    assert row[1] == (f"'{text}" if text != "\t=1" else "\\t=1")


def test_csv_of_lists_and_records(sqlite_terminal: Terminal) -> None:
    listed = sqlite_terminal.run("users", "list", "-o", "csv").stdout.splitlines()
    assert len(listed) == 2
    assert listed == sqlite_terminal.run("users", "show", "admin", "-o", "csv").stdout.splitlines()
    as_json = sqlite_terminal.run("users", "show", "admin", "-o", "json").json()
    assert listed[0].split(",") == list(as_json)
    empty = sqlite_terminal.run("groups", "list", "-o", "csv")
    assert empty.stdout.splitlines() == ["id,name,tenant,members,permissions"]
    contracts = sqlite_terminal.run("explain", "admin", "-o", "csv").stdout
    assert contracts.splitlines()[0] == "contract,sign_in,role,credentials,because"
    for words in (["settings", "show"], ["doctor"], ["keys", "list"], ["permissions", "list"]):
        rows = list(csv.reader(io.StringIO(sqlite_terminal.run(*words, "-o", "csv").stdout)))
        assert len({len(row) for row in rows}) == 1, words


PLAIN: list[dict[str, str]] = [
    {"NO_COLOR": "1", "TERM": "xterm-256color", "FORCE_COLOR": "1"},
    {"TERM": "dumb"},
]
COMMANDS = (["--help"], ["nonsense"], ["doctor"])


@pytest.mark.parametrize("wish", PLAIN, ids=str)
def test_no_escape_sequences_if_they_are_not_wanted(
    sqlite_terminal: Terminal, wish: dict[str, str]
) -> None:
    for words in COMMANDS:
        assert "\x1b" not in _on_a_terminal(sqlite_terminal, words, wish), words


def test_colours_on_other_terminals(sqlite_terminal: Terminal) -> None:
    """So that the test above can fail."""
    wish = {"TERM": "xterm-256color"}
    for words in (COMMANDS[0], COMMANDS[-1]):
        assert "\x1b[" in _on_a_terminal(sqlite_terminal, words, wish), words


def _on_a_terminal(terminal: Terminal, words: list[str], wish: dict[str, Any]) -> str:
    env = environment(terminal.settings)
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS"):
        env.pop(name, None)
    return output_of([*dragoman_command(), *words], env | wish, terminal.folder)
