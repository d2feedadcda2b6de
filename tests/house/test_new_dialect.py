"""A dialect is a folder and a name: adding one and removing one needs nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman import dialects

ROOT = Path(__file__).parents[2]

ROUTES = '''"""Echo: a contract of one path."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.rules import crypto
from dragoman.rules.credentials import Kind

from dragoman.rules.vocabulary import Narrowing
from dragoman.web.calls import Call, Contract, Endpoint
from dragoman.web.resource import Nowhere, Resource
from dragoman.web.routing import Paths

DOCUMENTED = re.compile("/echo/v1(/|$)")


def voice(call: Call, fault: Exception) -> Response:
    return JSONResponse({"said": type(fault).__name__}, 418)


CONTRACT = Contract(
    name="echo",
    scheme="Bearer",
    kind=Kind(contract="echo", make=crypto.make_urlsafe),
    narrowing=Narrowing(),
    voice=voice,
)


async def show(call: Call) -> Response:
    return JSONResponse({"path": call.path})


def build(directory: Directory) -> Any:
    open_ = Resource(directory, CONTRACT, GET=Endpoint(show, public=True))
    routes = [Route("/echo/v1/x", open_), Route("/v1/y", Resource(directory, CONTRACT, GET=show))]
    return Paths(routes, Nowhere(directory, CONTRACT))
'''

ASK = """
import asyncio, json, sys
import httpx
from dragoman import app, dialects
from dragoman.settings import Settings

async def main():
    settings = Settings(database=f"sqlite:///{sys.argv[1]}/x.db", log_level="error")
    await app.prepare(settings)
    served = app.create(settings)
    async with app.opened(settings):
        transport = httpx.ASGITransport(app=served)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            said = {"names": list(dialects.NAMES)}
            for path in sys.argv[2:]:
                answer = await client.get(path)
                said[path] = [answer.status_code, answer.json()]
    print(json.dumps(said))

asyncio.run(main())
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the source, with its floors."""
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def name_all(house: Path, *names: str) -> None:
    path = house / "src/dragoman/dialects/__init__.py"
    listed = "".join(f'    "{name}",\n' for name in names)
    text, count = re.subn(
        r"NAMES = \(\n.*?\n\)", f"NAMES = (\n{listed})", path.read_text(), flags=re.DOTALL
    )
    assert count == 1
    path.write_text(text)


def run(house: Path, *command: str | Path, seconds: float = 60) -> str:
    environment = {**os.environ, "PYTHONPATH": str(house / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command,
        cwd=house,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def add_echo(house: Path) -> None:
    folder = house / "src/dragoman/dialects/echo"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Echo."""\n')
    (folder / "routes.py").write_text(ROUTES)


def ask(house: Path, *paths: str) -> str:
    return run(house, sys.executable, "-c", ASK, str(house), *paths)


def test_adding_one_is_a_folder_and_a_name(house: Path):
    add_echo(house)
    name_all(house, "echo", "wiwebb")
    said = ask(house, "/echo/echo/v1/x", "/echo/v1/y", "/wiwebb/api/v1/users/")
    assert '"/echo/echo/v1/x": [200, {"path": "/echo/echo/v1/x"}]' in said
    assert '"/echo/v1/y": [418, {"said": "Unauthenticated"}]' in said
    assert '"/wiwebb/api/v1/users/": [401' in said
    floors = run(house, Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache")
    assert " 0 broken" in floors


def test_siblings_never_meet(house: Path):
    add_echo(house)
    name_all(house, "echo", "wiwebb")
    with (house / "src/dragoman/dialects/echo/routes.py").open("a") as file:
        file.write("\nfrom dragoman.dialects.wiwebb import schemas  # noqa\n")
    with pytest.raises(AssertionError, match="Dialects never meet BROKEN"):
        run(house, Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache")


def test_removing_one_is_the_reverse(house: Path):
    add_echo(house)
    shutil.rmtree(house / "src/dragoman/dialects/wiwebb")
    name_all(house, "echo")
    said = ask(house, "/echo/echo/v1/x", "/wiwebb/api/v1/users/", "/api/v1/users/")
    assert '"names": ["echo"]' in said
    assert '"/echo/echo/v1/x": [200' in said
    assert '"/wiwebb/api/v1/users/": [404' in said
    assert '"/api/v1/users/": [404' in said


@pytest.mark.timeout(300)
def test_without_one_of_them_everything_else_still_passes(house: Path):
    """The contract's folder, its tests and its name: nothing else knows it."""
    for part in ("tests", "docs", ".github", "README.md", "benchmarks"):
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, house / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / part).exists():
            shutil.copy(ROOT / part, house)
    shutil.rmtree(house / "src/dragoman/dialects/wekan")
    shutil.rmtree(house / "tests/dialects/wekan")
    name_all(house, *(name for name in dialects.NAMES if name != "wekan"))
    tests = (
        sys.executable,
        # A test that hangs says where, and ends this run.
        *("-m", "pytest", "-q", "--timeout", "60", "--timeout-method", "thread"),
        *("-p", "no:cacheprovider", "-m", "sqlite or not postgresql"),
        *("--deselect", "tests/house/test_new_dialect.py"),
        *("-k", "house or transcript or prefix or test_every_door"),  # the rest would say it twice
        *("tests/house", "tests/dialects"),
    )
    said = run(house, *tests, seconds=280)
    assert " passed" in said
    assert "wekan" not in said
