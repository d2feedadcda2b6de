"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dragoman.actions.transfer.records import FileOptions
from dragoman.cli import progress
from dragoman.cli.progress import duration
from dragoman.cli.spool import regular_file
from tests.support.server import dragoman_command, environment

SHOW = """
import time
from dragoman.cli import progress
shown = progress.on_standard_error()
shown.begin("Checking", 1000)
for position in range(0, 1001, 100):
    shown.advance(position, position * 2)
    time.sleep(0.03)
shown.end()
"""
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
MOVE = re.compile(rb"\x1b\[[0-9;]*[A-LN-Z]")


def on_terminal(**environment: str) -> bytes:
    """Return what is shown on a terminal of 100 columns."""
    parent, child = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "TERM"}}
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW],
        stderr=child,
        stdout=subprocess.DEVNULL,
        env={**env, "COLUMNS": "100", **environment},
    )
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 4096)
        except OSError:  # the terminal's other side is closed
            break
        if not part:
            break
        shown += part
    os.close(parent)
    assert process.wait(30) == 0
    return shown


def test_a_bar_on_a_terminal() -> None:
    shown = on_terminal(TERM="xterm-256color")
    assert COLOUR.search(shown)
    text = COLOUR.sub(b"", shown).decode()
    assert "Checking" in text
    assert "100%" in text
    assert re.search(r"2,000 rows, [0-9,]+ rows/s", text)
    assert re.search(r"[0-9]:[0-9]{2}", text)


def test_a_bar_without_colours() -> None:
    shown = on_terminal(TERM="xterm-256color", NO_COLOR="1")
    assert b"rows/s" in shown
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9](;|m)", shown)


def test_no_bar_on_a_dumb_terminal() -> None:
    assert b"\x1b" not in on_terminal(TERM="dumb")


def test_plain_lines_elsewhere(monkeypatch, capsys) -> None:
    monkeypatch.setattr(progress, "LINE_INTERVAL_S", 0.0)
    shown = progress.on_standard_error()
    shown.begin("Importing", 1000)
    shown.advance(500, 10_000)
    shown.advance(750, 15_000)
    shown.begin("Writing", 0)
    shown.advance(10, 5)
    shown.end()
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"Importing: 10,000 rows, 0 rows/s", lines[0])
    assert re.fullmatch(r"Importing: 75%, 15,000 rows, [0-9,]+ rows/s, 0:00 left", lines[1]), (
        lines
    )  # half of what was read since the beginning is left
    assert len(lines) == 3


def test_durations() -> None:
    assert [duration(each) for each in (0.4, 65, 7384)] == ["0:00", "1:05", "2:03:04"]


def test_a_regular_file_is_read_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("username\nmia\n")
    with regular_file(str(path), FileOptions()) as found:
        assert found == path


def test_what_is_no_file_is_copied_for_its_owner_only(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    content = b"username\n" + b"".join(b"u%07d\n" % index for index in range(1_000_000))
    reader, writer = os.pipe()
    process = subprocess.Popen(
        ["seq", "-f", "u%07.0f", "0", "999999"], stdout=writer, stderr=subprocess.DEVNULL
    )
    os.close(writer)
    with regular_file(f"/dev/fd/{reader}", FileOptions(columns=("username",))) as found:
        assert found.read_bytes() == content.removeprefix(b"username\n")
        assert found.stat().st_mode & 0o777 == 0o600
        assert found.parent.stat().st_mode & 0o777 == 0o700
        assert found.is_relative_to(tmp_path)
    os.close(reader)
    assert process.wait(30) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_disk_is_not_filled(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("dragoman.cli.spool.MIN_FREE_BYTES", 2**62)
    with (
        subprocess.Popen(["yes", "mia,mia@example.com"], stdout=subprocess.PIPE) as process,
        pytest.raises(Exception, match="is almost full"),
    ):
        assert process.stdout is not None
        try:
            with regular_file(f"/dev/fd/{process.stdout.fileno()}", FileOptions()):
                raise AssertionError
        finally:
            process.kill()


def test_a_copy_is_removed_when_the_program_is_ended(tmp_path: Path) -> None:
    """The copy holds hashes; SIGTERM is what a service manager or ``timeout`` sends."""
    private = tmp_path / "private"
    private.mkdir()
    process = subprocess.Popen(
        [*dragoman_command(), "import", "-"],
        env=environment({"TMPDIR": str(private), "DRAGOMAN_DATABASE": f"sqlite:///{tmp_path}/d"}),
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(b"username\n" + b"ann\n" * 100_000)
        process.stdin.flush()
        deadline = time.monotonic() + 30
        while not list(private.glob("dragoman-*/input")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.terminate()
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
    assert list(private.iterdir()) == []
