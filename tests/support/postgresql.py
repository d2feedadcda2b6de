"""A PostgreSQL for tests: the one of the environment, or one of our own (see the guard)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.support import memory_folder

VARIABLE = "DRAGOMAN_TEST_POSTGRESQL"
GUARD = Path(__file__).with_name("postgresql_guard.py")


class PostgreSQL:
    """A server that starts when its URL is first asked for, and ends with ``stop`` or with us.

    With ``small_mb`` it has a folder on a disk of that size, if the system lets us (``facts``);
    with ``place`` it keeps its databases in a folder made there.
    """

    def __init__(self, url: str = "", *, small_mb: int = 0, place: Path | None = None) -> None:
        self._url = url
        self._options = [f"--small={small_mb}"] if small_mb else []
        self._options += [f"--place={place}"] if place else []
        self._guard: subprocess.Popen[bytes] | None = None
        self.facts: dict[str, Any] = {}
        """What the guard reported (``pid``, ``port``, ``folder``, ``uid``, ``small``), if it is ours."""

    def url(self) -> str:
        """Return a URL with the right to create databases."""
        if not self._url:
            self._start()
        return self._url

    def stop(self) -> None:
        """Stop the server if it is ours; the guard removes everything it has made."""
        guard, self._guard = self._guard, None
        if guard is None:
            return
        assert guard.stdin is not None
        assert guard.stdout is not None
        guard.stdin.close()
        guard.stdout.close()
        guard.wait(60)
        self._url = ""

    def _start(self) -> None:
        self._guard = subprocess.Popen(
            [sys.executable, str(GUARD), *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us; it learns of our end by its standard input
        )
        assert self._guard.stdout is not None
        line = self._guard.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError("the embedded PostgreSQL did not start; its reason stands above")
        self.facts = json.loads(line)
        self._url = self.facts["url"]


def from_environment() -> PostgreSQL:
    """Return the server named by ``DRAGOMAN_TEST_POSTGRESQL``, else one of our own, in memory."""
    return PostgreSQL(os.environ.get(VARIABLE, ""), place=memory_folder.temporary_root())


def url_for_database(url: str, name: str) -> str:
    """Return the same URL for another database of that server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
