"""Which versions of Python are claimed, found by CI, and used by `make`."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MINORS = (11, 12, 13, 14)


def make_python(path: Path, version: str) -> Path:
    """Write a command that answers every script with a version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def found(folder: Path, **environment: str) -> list[str]:
    done = subprocess.run(
        [ROOT / ".ci" / "pythons"],
        env={"PATH": f"{folder}/bin:/bin:/usr/bin", "HOME": str(folder), **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_ci_runs_one_of_each_version_that_it_finds(tmp_path: Path) -> None:
    default = make_python(tmp_path / "bin" / "python3", "3.11")
    for minor in MINORS:  # hides those of this machine
        make_python(tmp_path / "bin" / f"python3.{minor}", "3.11")
    assert found(tmp_path) == []
    on_path = make_python(tmp_path / "bin" / "python3.12", "3.12")
    pyenv = tmp_path / ".pyenv" / "versions"
    installed = make_python(pyenv / "3.13.9" / "bin" / "python", "3.13")
    make_python(pyenv / "3.12.1" / "bin" / "python", "3.12")
    assert found(tmp_path) == [str(on_path), str(installed)]
    named = [make_python(tmp_path / f"named-{v}", v) for v in ("3.14", "3.10", "3.13")]
    assert found(tmp_path, PYTHONS=" ".join(map(str, named))) == [
        str(named[0]), str(named[2]), str(on_path),
    ]  # fmt: skip
    assert str(default) in found(tmp_path, PYTHON=str(on_path), PYTHONS=str(default))


def test_the_classifiers_name_the_versions_that_ci_looks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: 3."
    named = [line.removeprefix(prefix) for line in project["classifiers"] if prefix in line]
    assert named == [str(minor) for minor in MINORS]


def test_make_remakes_the_environment_for_another_interpreter(tmp_path: Path) -> None:
    """And for that one only: without a name, or with the name of its own, it stays."""
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / ".home").write_text(f"{ROOT}\n")
    (venv / ".made").touch()
    own = f"{sys.base_prefix} {sys.version.split()[0]}"
    (venv / ".python").write_text(f"{own}\n")
    other = make_python(tmp_path / "python3.14", "/usr 3.14.0")

    def remade(*variables: str) -> bool:
        done = subprocess.run(
            ["make", "-n", f"VENV={venv}", *variables, f"{venv}/.made"],
            cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return "-m venv" in done.stdout

    assert not remade()
    assert not remade(f"PYTHON={sys.executable}")
    assert remade(f"PYTHON={other}")
