"""The systemd unit: accepted by systemd, and hardened as far as the server allows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman import app
from tests.support.server import dragoman_command

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = (FOLDER / "dragoman.service").read_text(encoding="utf-8")
MAX_EXPOSURE = 13
"""Tenths. 0.5 of them are the network, 0.3 sockets, 0.2 the priorities of threads."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="NO SYSTEMD-ANALYZE: deploy/systemd IS NOT VERIFIED HERE",
)


def analyze(folder: Path, unit: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze over a unit, whose program is one that is there."""
    program = Path(dragoman_command()[0])
    path = folder / "dragoman.service"
    path.write_text(unit.replace("/opt/dragoman/bin/dragoman", str(program)))
    return subprocess.run(
        ["systemd-analyze", *words, str(path)],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_LOG_LEVEL": "warning"},
    )


@needs_systemd
def test_it_is_accepted(tmp_path: Path) -> None:
    done = analyze(tmp_path, UNIT, "verify", "--man=no")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wrong = analyze(tmp_path, UNIT.replace("Restart=always", "Restart=allways"), "verify")
    assert "allways" in wrong.stderr


@needs_systemd
def test_it_is_hardened(tmp_path: Path) -> None:
    options = ("security", "--offline=true", "--no-pager", f"--threshold={MAX_EXPOSURE}")
    done = analyze(tmp_path, UNIT, *options)
    if "unrecognized option" in done.stderr:
        pytest.skip("THIS SYSTEMD-ANALYZE CANNOT JUDGE A FILE (needs 250)")
    assert done.returncode == 0, done.stdout
    weaker = analyze(tmp_path, UNIT.replace("NoNewPrivileges=yes\n", ""), *options)
    assert weaker.returncode != 0


def test_the_settings_are_accepted(tmp_path: Path) -> None:
    text = (FOLDER / "dragoman.env").read_text(encoding="utf-8")
    given = dict(re.findall(r"^(DRAGOMAN_\w+)=(.*)$", text, re.MULTILINE))
    assert app.load_settings(given).public_url == "https://users.example.com"
    optional = dict(re.findall(r"^# (DRAGOMAN_\w+)=(.*)$", text, re.MULTILINE))
    assert len(optional) == 3
    app.load_settings({**given, **optional})


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_the_server_runs_without_memory_that_is_written_and_executed(tmp_path: Path) -> None:
    """What MemoryDenyWriteExecute does, by the kernel's own switch (Linux 6.3 or later)."""
    assert "\nMemoryDenyWriteExecute=yes\n" in UNIT
    script = (
        "import ctypes, os, runpy, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)\n"
        "from dragoman.actions.password_hashing import PasswordHasherPool\n"
        "from dragoman import app\n"
        "import argon2, asyncpg, granian, uvloop, msgspec, bcrypt, cryptography\n"
        "assert argon2.PasswordHasher().verify(argon2.PasswordHasher().hash('x'), 'x')\n"
        "app.create(app.load_settings({}))\n"
        "uvloop.new_event_loop().close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip("this kernel has no such switch")
    assert done.returncode == 0, done.stderr
