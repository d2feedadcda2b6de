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
from dragoman.rules.credentials import CredentialFormat
from dragoman.rules.vocabulary import Restrictions
from dragoman.web.calls import Call, Contract, Endpoint
from dragoman.web.resource import NotFoundResource, Resource
from dragoman.web.routing import ContractApp

DOCUMENTED = re.compile("/echo/v1(/|$)")


def handle_error(call: Call, error: Exception) -> Response:
    return JSONResponse({"said": type(error).__name__}, 418)


CONTRACT = Contract(
    name="echo",
    scheme="Bearer",
    credential_format=CredentialFormat(contract="echo", generate=crypto.generate_urlsafe),
    restrictions=Restrictions(),
    handle_error=handle_error,
)


async def show(call: Call) -> Response:
    return JSONResponse({"path": call.path})


def build(directory: Directory) -> Any:
    open_ = Resource(directory, CONTRACT, GET=Endpoint(show, public=True))
    routes = [Route("/echo/v1/x", open_), Route("/v1/y", Resource(directory, CONTRACT, GET=show))]
    return ContractApp(routes, NotFoundResource(directory, CONTRACT))
'''

ASK = """
import asyncio, json, sys
import httpx
from dragoman import app, dialects
from dragoman.settings import Settings

async def main():
    settings = Settings(database=f"sqlite:///{sys.argv[1]}/x.db", log_level="error")
    await app.migrate_and_bootstrap(settings)
    served = app.create(settings)
    async with app.open_directory(settings):
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
def source_copy(tmp_path: Path) -> Path:
    """A copy of the source, with its floors."""
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def name_all(source_copy: Path, *names: str) -> None:
    path = source_copy / "src/dragoman/dialects/__init__.py"
    listed = "".join(f'    "{name}",\n' for name in names)
    text, count = re.subn(
        r"NAMES = \(\n.*?\n\)", f"NAMES = (\n{listed})", path.read_text(), flags=re.DOTALL
    )
    assert count == 1
    path.write_text(text)


def run(source_copy: Path, *command: str | Path, seconds: float = 60) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": str(source_copy / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        command,
        cwd=source_copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def add_echo(source_copy: Path) -> None:
    folder = source_copy / "src/dragoman/dialects/echo"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Echo."""\n')
    (folder / "routes.py").write_text(ROUTES)


def request_echo(source_copy: Path, *paths: str) -> str:
    return run(source_copy, sys.executable, "-c", ASK, str(source_copy), *paths)


def test_adding_one_is_a_folder_and_a_name(source_copy: Path):
    add_echo(source_copy)
    name_all(source_copy, "echo", "wiwebb")
    said = request_echo(source_copy, "/echo/echo/v1/x", "/echo/v1/y", "/wiwebb/api/v1/users/")
    assert '"/echo/echo/v1/x": [200, {"path": "/echo/echo/v1/x"}]' in said
    assert '"/echo/v1/y": [418, {"said": "Unauthenticated"}]' in said
    assert '"/wiwebb/api/v1/users/": [401' in said
    floors = run(
        source_copy, Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"
    )
    assert " 0 broken" in floors


def test_siblings_never_meet(source_copy: Path):
    add_echo(source_copy)
    name_all(source_copy, "echo", "wiwebb")
    with (source_copy / "src/dragoman/dialects/echo/routes.py").open("a") as file:
        file.write("\nfrom dragoman.dialects.wiwebb import schemas  # noqa\n")
    with pytest.raises(AssertionError, match="Dialects never meet BROKEN"):
        run(source_copy, Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache")


def test_removing_one_is_the_reverse(source_copy: Path):
    add_echo(source_copy)
    shutil.rmtree(source_copy / "src/dragoman/dialects/wiwebb")
    name_all(source_copy, "echo")
    said = request_echo(source_copy, "/echo/echo/v1/x", "/wiwebb/api/v1/users/", "/api/v1/users/")
    assert '"names": ["echo"]' in said
    assert '"/echo/echo/v1/x": [200' in said
    assert '"/wiwebb/api/v1/users/": [404' in said
    assert '"/api/v1/users/": [404' in said


@pytest.mark.timeout(300)
def test_without_one_of_them_everything_else_still_passes(source_copy: Path):
    """The contract's folder, its tests and its name: nothing else knows it."""
    for part in ("tests", "docs", ".github", "README.md", "benchmarks"):
        if (ROOT / part).is_dir():
            shutil.copytree(
                ROOT / part, source_copy / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        elif (ROOT / part).exists():
            shutil.copy(ROOT / part, source_copy)
    shutil.rmtree(source_copy / "src/dragoman/dialects/wekan")
    shutil.rmtree(source_copy / "tests/dialects/wekan")
    name_all(source_copy, *(name for name in dialects.NAMES if name != "wekan"))
    tests = (
        sys.executable,
        # A test that hangs says where, and ends this run.
        *("-m", "pytest", "-q", "--timeout", "60", "--timeout-method", "thread"),
        *("-p", "no:cacheprovider", "-m", "sqlite or not postgresql"),
        *("--deselect", "tests/house/test_new_dialect.py"),
        *("-k", "house or transcript or prefix or test_every_door"),  # the rest would say it twice
        *("tests/house", "tests/dialects"),
    )
    said = run(source_copy, *tests, seconds=280)
    assert " passed" in said
    assert "wekan" not in said
