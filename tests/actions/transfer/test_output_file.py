"""A file gets its name when it is complete."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dragoman.actions.transfer.output_file import complete_file


def test_a_file_appears_when_it_is_complete_and_only_its_owner_reads_it(tmp_path: Path):
    path = tmp_path / "out"
    with complete_file(path) as file:
        file.write(b"data")
        assert not path.exists()
        assert stat.S_IMODE((tmp_path / "out.part").stat().st_mode) == 0o600
    assert path.read_bytes() == b"data"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["out"]


def test_an_error_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "out"
    path.write_bytes(b"former")
    with pytest.raises(ValueError, match="midway"), complete_file(path) as file:
        file.write(b"half")
        raise ValueError("midway")
    assert path.read_bytes() == b"former"
    assert os.listdir(tmp_path) == ["out"]


def test_what_a_killed_process_left_is_replaced_and_not_followed(tmp_path: Path):
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    (tmp_path / "out.part").symlink_to(other)
    with complete_file(tmp_path / "out") as file:
        file.write(b"data")
    assert other.read_bytes() == b"mine"
    assert not (tmp_path / "out").is_symlink()


def test_a_device_is_written_to_as_it_is():
    with complete_file(Path("/dev/null")) as file:
        file.write(b"data")
    assert not Path("/dev/null").is_file()
