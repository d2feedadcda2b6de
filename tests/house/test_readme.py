"""README's commands run in an empty folder, in their order, and its table of credentials is true."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dragoman import dialects
from tests.support.server import environment, running_server
from tests.support.user_requests import SIGN_IN

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


PASSWORD = "violet-Kettle-4242"
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def _run(block: str, folder: Path) -> str:
    """Run a block in a shell, and return what it prints."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=environment({}) | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _answers(block: str, folder: Path, filled_in: Mapping[str, str]) -> list[dict[str, Any]]:
    """Run a block of curl with what a reader fills in, and return its JSON answers."""
    for before, after in filled_in.items():
        block = block.replace(before, after)
    printed = _run(block.replace("curl ", "curl -sSf -w '\\n' "), folder)
    return [msgspec.json.decode(line) for line in printed.splitlines() if line]


@pytest.mark.timeout(300)
def test_the_blocks_run_in_an_empty_folder_in_their_order(tmp_path: Path) -> None:
    """The server is README's own ``make serve``, but for its port and the first password."""
    sign_in, elsewhere = (block for block in BLOCKS if block.startswith("curl"))
    (commands,) = (block for block in BLOCKS if block.startswith("dragoman migrate"))
    with running_server({"DRAGOMAN_ADMIN_PASSWORD": PASSWORD}, tmp_path) as server:
        here = {"http://127.0.0.1:8000": server.url, '"password": "…': f'"password": "{PASSWORD}'}
        first, second = sign_in.split("\ncurl", 1)
        [signed_in] = _answers(first, tmp_path, here)
        [listed] = _answers(
            f"curl{second}", tmp_path, {**here, "Token …": f"Token {signed_in['key']}"}
        )
        assert [user["username"] for user in listed["results"]] == ["admin"]
        wekan, binacle = _answers(
            elsewhere, tmp_path, {**here, "password=…": f"password={PASSWORD}"}
        )
        assert wekan["token"]
        assert binacle["accessToken"]
        _run(commands, tmp_path)


@pytest.mark.parametrize("name", dialects.NAMES)
def test_the_credential_of_each_answer_is_named(name: str) -> None:
    known = SIGN_IN[name]
    field = f"{known.envelope}.{known.credential}".removeprefix(".")
    assert f"| {name} | `POST /{name}{known.path}` | `{field}` |" in README
