"""The Dockerfile, as far as it can be checked without Docker: `make lint` runs hadolint over it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from dragoman import __version__

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [
    tuple(line.split(None, 1))
    for line in re.sub(r"\\\n\s*", "", TEXT).splitlines()
    if line and not line.startswith("#")
]


def values(name: str) -> list[str]:
    return [value for instruction, value in INSTRUCTIONS if instruction == name]


def copied() -> list[str]:
    """Return what is copied from the checkout."""
    words = [value.split()[:-1] for value in values("COPY") if "--from" not in value]
    return [name for names in words for name in names]


def test_python_and_base_are_arguments() -> None:
    assert {"BASE", "PYTHON"} <= {each.partition("=")[0] for each in values("ARG")}
    assert [each.split()[0] for each in values("FROM")] == ["${BASE}", "${BASE}"]
    assert "--build-arg BASE=python:" in TEXT
    assert "@sha256:" in TEXT


def test_no_step_is_bound_to_an_architecture() -> None:
    steps = "\n".join(" ".join(each) for each in INSTRUCTIONS)
    assert not re.search(r"amd64|x86_64|arm64|aarch64|--platform|TARGETARCH", steps)


def test_it_runs_as_nobody_in_particular_and_tells_its_health() -> None:
    (user,) = values("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    (health,) = values("HEALTHCHECK")
    assert "/healthz" in health
    (command,) = values("CMD")
    assert command.startswith('["dragoman", "serve"')
    assert values("VOLUME") == ["/var/lib/dragoman"]


def test_labels() -> None:
    (labels,) = values("LABEL")
    found = set(re.findall(r"org\.opencontainers\.image\.([\w.]+)=", labels))
    expected = {"title", "description", "licenses", "version", "revision", "base.name"}
    assert found == expected


def test_the_wheel_can_be_built_from_what_is_copied(tmp_path: Path) -> None:
    """With nothing else, and without what .dockerignore keeps out."""
    allowed = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    assert set(copied()) <= set(allowed)
    for name in copied():
        source, target = ROOT / name, tmp_path / "build" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path / "build", capture_output=True)
    with zipfile.ZipFile(tmp_path / f"dragoman-{__version__}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    package = ROOT / "src" / "dragoman"
    expected = {
        f"dragoman/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= names
