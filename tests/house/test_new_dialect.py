"""A dialect is a folder and a name: adding one and removing one needs nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
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

DOCUMENTED_PATHS = re.compile("/echo/v1(/|$)")


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
    """A copy of the source, compiled files included, with its import contracts."""
    shutil.copytree(ROOT / "src", tmp_path / "src")
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
    environment = {**os.environ, "PYTHONPATH": str(source_copy / "src")}
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
    imports = run(
        source_copy, Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"
    )
    assert " 0 broken" in imports


def test_siblings_never_meet(source_copy: Path):
    add_echo(source_copy)
    name_all(source_copy, "echo", "wiwebb")
    with (source_copy / "src/dragoman/dialects/echo/routes.py").open("a") as file:
        file.write("\nfrom dragoman.dialects.wiwebb import schemas  # noqa\n")
    with pytest.raises(AssertionError, match="Dialects do not import each other BROKEN"):
        run(source_copy, Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache")


@pytest.mark.parametrize("planted", ["system actor", "step"])
def test_dialects_call_no_step_and_no_system_actor(source_copy: Path, planted: str):
    """An actor that may do anything, and a step that asks no policy, are out of a dialect's reach."""
    users = source_copy / "src/dragoman/dialects/wekan/users.py"
    text = users.read_text()
    if planted == "system actor":
        imported = "from dragoman.actions.system import system_actor\n"
        before, after = text.split("async def delete(call: Call)", 1)
        opened = 'call.directory.begin(system_actor("wekan"))'
        text = f"{before}async def delete(call: Call){after.replace('call.begin()', opened, 1)}"
        assert opened in text
    else:
        imported = "from dragoman.actions.steps.credentials import mint  # noqa: F401\n"
    line = "from dragoman.dialects.wekan import schemas\n"
    assert line in text
    users.write_text(text.replace(line, imported + line, 1))
    name = "Dialects call actions, never their steps or the system actor"
    with pytest.raises(AssertionError, match=f"{name} BROKEN"):
        run(source_copy, Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache")


def test_the_console_is_held_to_the_same_contract():
    """The pages for people call actions as a dialect does, as soon as they exist."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (steps,) = (each for each in contracts["contracts"] if each["id"] == "steps")
    callers = {"dragoman.dialects"}
    if (ROOT / "src/dragoman/console").exists():
        callers.add("dragoman.console")
    assert callers <= set(steps["source_modules"])
    assert {"dragoman.actions.steps", "dragoman.actions.system"} == set(steps["forbidden_modules"])


def test_removing_one_is_the_reverse(source_copy: Path):
    add_echo(source_copy)
    shutil.rmtree(source_copy / "src/dragoman/dialects/wiwebb")
    name_all(source_copy, "echo")
    said = request_echo(source_copy, "/echo/echo/v1/x", "/wiwebb/api/v1/users/", "/api/v1/users/")
    assert '"names": ["echo"]' in said
    assert '"/echo/echo/v1/x": [200' in said
    assert '"/wiwebb/api/v1/users/": [404' in said
    assert '"/api/v1/users/": [404' in said


OTHERS_TESTS = (
    "tests/house/test_layers.py::test_the_names_of_the_dialects_are_their_folders",
    "tests/house/test_openapi.py",
    "tests/house/test_error_handlers.py",
    "tests/house/test_policy.py",
)
DISPATCHED = {"vsay", "wiwebb"}
"""The contracts that ``tests/test_dispatch.py`` speaks with."""
EVERY = 20
"""Each so-many-th transcript of the others is played: all of them are, with all dialects there."""


def transcripts_of_others(removed: str) -> list[str]:
    """Return the node ids of some transcripts of every contract but one, on SQLite."""
    folder = ROOT / "tests/dialects"
    return [
        f"tests/dialects/test_transcripts.py::test_transcript[sqlite-{name}/{path.stem}]"
        for name in dialects.NAMES
        if name != removed
        for path in sorted((folder / name / "transcripts").glob("*.http"))[::EVERY]
    ]


@pytest.mark.parametrize("removed", dialects.NAMES)
def test_without_one_of_them_the_others_still_pass(
    source_copy: Path, monkeypatch: pytest.MonkeyPatch, removed: str
):
    """The contract's folder, its tests and its name: nothing else knows it."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading all takes two seconds
    for part in ("tests", "docs"):
        shutil.copytree(ROOT / part, source_copy / part)
    shutil.copy(ROOT / "SECURITY.md", source_copy)
    shutil.rmtree(source_copy / "src/dragoman/dialects" / removed)
    shutil.rmtree(source_copy / "tests/dialects" / removed)
    name_all(source_copy, *(name for name in dialects.NAMES if name != removed))
    command = (
        sys.executable,
        *("-m", "pytest", "-q", "-p", "anyio.pytest_plugin", "-p", "pytest_timeout"),
        # A test that hangs says where, and ends this run.
        *("--timeout", "60", "--timeout-method", "thread"),
        *("-p", "no:cacheprovider", "-m", "sqlite or not postgresql"),
        *OTHERS_TESTS,
        *(() if removed in DISPATCHED else ("tests/test_dispatch.py",)),
        *transcripts_of_others(removed),
    )
    output = run(source_copy, *command, seconds=110)
    assert re.search(r"\d{3,} passed", output), output
