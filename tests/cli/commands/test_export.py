"""``dragoman export``: files, standard output, and what is said about them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tests.support.terminal import Terminal


def test_an_export_to_a_file_is_complete_private_and_counted(terminal: Terminal, tmp_path: Path):
    path = tmp_path / "users.ndjson"
    done = terminal.run("export", str(path))
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "Exported 1 user, 1 tenant and 0 groups\n"
    first, *rest = path.read_text().splitlines()
    assert first == '{"type": "dragoman", "format": 1}'
    assert len(rest) == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "users.ndjson.part" not in os.listdir(tmp_path)


def test_standard_output_has_the_same(sqlite_terminal: Terminal, tmp_path: Path):
    done = sqlite_terminal.run("export", "-", "--with-hashes")
    sqlite_terminal.run("export", str(tmp_path / "x"), "--with-hashes")
    assert "$argon2id$" in done.stdout
    assert (tmp_path / "x").read_text() == done.stdout


def test_a_name_that_ends_in_csv_is_a_table(sqlite_terminal: Terminal, tmp_path: Path):
    path = tmp_path / "users.CSV"
    assert sqlite_terminal.run("export", str(path), "--tenant", "main").exit_code == 0
    assert path.read_text().startswith("dragoman:1,id,")
    forced = sqlite_terminal.run("export", str(path), "--format", "ndjson")
    assert forced.exit_code == 0
    assert path.read_text().startswith('{"type": "dragoman"')


def test_what_cannot_be_exported(sqlite_terminal: Terminal, tmp_path: Path):
    path = tmp_path / "x"
    sqlite_terminal.run("export", str(path), "--raw").assert_refused(2, "--format csv")
    sqlite_terminal.run("export", str(path), "--tenant", "no").assert_refused(3, "no", "not found")
    folder = tmp_path / "missing" / "x"
    sqlite_terminal.run("export", str(folder)).assert_refused(1, "No such file")
    assert not path.exists()
