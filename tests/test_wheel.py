"""The wheel: complete, installed in an environment of its own, and serving from there."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.processes import wait_for
from tests.support.server import free_port

ROOT = Path(__file__).parents[1]
BUILD = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-c", BUILD, str(folder)]
    built = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return folder / built.stdout.split()[-1]


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    """Templates, migrations, documents and the marker of typed packages among them."""
    files = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / "dragoman").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= files
    assert "dragoman/py.typed" in expected


@pytest.fixture
def python(wheel: Path, tmp_path: Path) -> Path:
    """An environment that has the wheel; its dependencies are those of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    found = next((tmp_path / "venv" / "lib").glob("python3*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(found)
    # Their folder comes last, and its .pth files, one of which leads to our source, are not read.
    (found / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return tmp_path / "venv" / "bin" / "python"


@pytest.fixture
def port(python: Path, tmp_path: Path) -> Iterator[int]:
    """A server of the wheel, started in an empty folder."""
    port = free_port()
    (tmp_path / "work").mkdir()
    command = [python, "-m", "dragoman", "serve", "--port", str(port)]
    environment = {key: value for key, value in os.environ.items() if "DRAGOMAN" not in key}
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command, cwd=tmp_path / "work", env=environment, stdout=log, stderr=log
        ) as server,
    ):
        try:
            yield port
        finally:
            server.terminate()


def test_it_serves_in_an_empty_environment(python: Path, port: int, tmp_path: Path) -> None:
    where = subprocess.run(
        [python, "-c", "import dragoman; print(dragoman.__file__)"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(tmp_path), "not this checkout"

    def ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=20).status_code == 200
        except httpx.TransportError:
            return False

    assert wait_for(ready, 60), (tmp_path / "log").read_text()
    docs = httpx.get(f"http://127.0.0.1:{port}/wiwebb/docs", timeout=60)
    assert docs.status_code == 200
