"""The command line as tests use it: in this process for most, as the installed command for some."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import msgspec
import sqlalchemy as sa
from click.testing import CliRunner

from dragoman import app
from dragoman.actions.system import system_actor
from dragoman.cli.main import main
from dragoman.store.query import Query
from tests.support.databases import SECRET_KEY, erasures_path, settings_for
from tests.support.running_app import running_client
from tests.support.server import dragoman_command, environment

API = "/wiwebb/api/v1"
PASSWORD = "violet-Kettle-42"


class CommandResult(msgspec.Struct, frozen=True):
    """How a command ended and what it said."""

    exit_code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        assert self.exit_code == 0, f"exit code {self.exit_code}\n{self.stderr}"
        return json.loads(self.stdout)

    def lines(self) -> list[Any]:
        """Every line of the output, each a JSON value."""
        assert self.exit_code == 0, f"exit code {self.exit_code}\n{self.stderr}"
        return [json.loads(line) for line in self.stdout.splitlines()]

    def assert_refused(self, code: int, *words: str) -> None:
        """It ended with this code, said these words on standard error, and showed no data."""
        assert self.exit_code == code, f"exit code {self.exit_code}\n{self.stdout}{self.stderr}"
        assert self.stdout == ""
        flat = " ".join(self.stderr.replace("│", " ").split())  # usage errors stand in a box
        for word in words:
            assert word in flat, self.stderr
        assert "Traceback" not in self.stderr


class Terminal:
    """A shell whose settings name one database.

    Args:
        database: its URL.
        folder: where the installed command runs.
        settings: more settings, ``DRAGOMAN_…``.
    """

    def __init__(self, database: str, folder: Path, **settings: str) -> None:
        self.database = database
        self.folder = folder
        self.settings = {
            "DRAGOMAN_DATABASE": database,
            "DRAGOMAN_SECRET_KEY": SECRET_KEY.hex(),
            "DRAGOMAN_ERASURES": str(erasures_path(database)),
            **settings,
        }

    def run(self, *words: str, stdin: str | bytes = "", **settings: str) -> CommandResult:
        """Run a command in this process."""
        env = {**self.settings, **settings}
        done = CliRunner().invoke(main, words, input=stdin, env=env, prog_name="dragoman")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return CommandResult(done.exit_code, done.stdout, done.stderr)

    def spawn(self, *words: str, stdin: str = "", **settings: str) -> CommandResult:
        """Run the installed command."""
        done = subprocess.run(
            [*dragoman_command(), *words],
            check=False,
            cwd=self.folder,
            env=environment({**self.settings, **settings}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return CommandResult(done.returncode, done.stdout, done.stderr)

    def create(
        self, username: str, role: str = "member", *options: str, **more: Any
    ) -> CommandResult:
        """Create a user with everybody's password."""
        words = ["--username", username, "--email", f"{username}@acme.test", "--role", role]
        stdin = f"{PASSWORD}\n"
        return self.run(
            "users", "create", *words, "--password-stdin", *options, stdin=stdin, **more
        )

    def execute(self, statement: str) -> None:
        """Change rows behind the application's back."""

        async def run() -> None:
            async with (
                app.open_directory(settings_for(self.database)) as directory,
                directory.begin(system_actor("tests")) as tx,
            ):
                await tx.run(Query(sa.text(statement)))

        asyncio.run(run())

    def sign_up(self, username: str) -> None:
        """Register somebody at wiwebb."""
        pair = {"password1": PASSWORD, "password2": PASSWORD}
        body = {"username": username, "email": f"{username}@acme.test", **pair}
        answer = self.request("POST", f"{API}/auth/registration/", json=body)
        assert answer.status_code == 201, answer.text

    def sign_in(self, name: str, password: str = PASSWORD) -> int:
        """Try to sign in at wiwebb; return the status."""
        body = {"username": name, "password": password}
        return self.request("POST", f"{API}/auth/login/", json=body).status_code

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Ask an application on this database."""

        async def ask() -> httpx.Response:
            async with running_client(settings_for(self.database)) as client:
                return await client.request(method, path, **given)

        return asyncio.run(ask())
