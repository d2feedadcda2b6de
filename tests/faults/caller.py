"""A client that knows what an answer must be when all is well, and when the database is not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.faults import storm
from tests.faults.processes import environment, wait_for
from tests.faults.storm import API
from tests.support.databases import ADMIN_PASSWORD
from tests.support.server import Server

SOON_S = 2.0
SLACK_S = 0.5
"""What a busy machine may add."""
BACK_S = 5.0
MANY = 24


class Asked(msgspec.Struct, frozen=True):
    """One request; ``status`` is its answer when all is well."""

    method: str
    path: str
    status: int
    body: dict[str, Any] | None = None
    anonymous: bool = False


READS = (
    Asked("GET", "/users/{id}/", 200),
    Asked("GET", "/users/", 200),
    Asked("GET", "/users/?search=keep", 200),
    Asked("GET", "/auth/user/", 200),
    Asked("GET", "/tenants/{tenant}/", 200),
)
WRITES = (
    Asked("PATCH", "/users/{id}/", 200, {"location": "place {n}"}),
    Asked("POST", "/users/{id}/activate/", 200, {"is_active": True}),
    Asked("POST", "/users/{id}/assign-role/", 200, {"role": "subscriber"}),
    Asked("POST", "/tenants/", 201, {"name": "T{n}", "slug": "t{n}"}),
)
SIGN_IN = Asked(
    "POST", "/auth/login/", 200, {"username": "admin", "password": ADMIN_PASSWORD}, anonymous=True
)
NOBODY = Asked("GET", "/users/987654321/", 404)
GROWING = (WRITES[0], WRITES[3], SIGN_IN)
"""What writes something every time, whatever was there before."""
RESET = Asked("POST", "/auth/password/reset/", 200, {"email": "keep@storm.test"}, anonymous=True)


class Caller:
    """A client of a running server, signed in as its superadmin, with a user to act upon."""

    def __init__(self, server: Server) -> None:
        self._client = httpx.Client(base_url=server.url, timeout=60)
        self.token, tenant = storm.enter(server.url)
        self._number = 0
        self._names = {"tenant": tenant, "id": 0}
        body = {"username": "keep", "email": "keep@storm.test", "password": "kettle-Violet-1"}
        made = self.ask(
            Asked("POST", "/users/", 201, {**body, "role": "subscriber", "tenant": tenant})
        )
        self._names["id"] = made.json()["id"]

    def ask(self, asked: Asked) -> httpx.Response:
        """Send one request; may be called from several threads."""
        self._number += 1
        names = {**self._names, "n": self._number}
        body = asked.body and {
            key: value.format_map(names) if isinstance(value, str) else value
            for key, value in asked.body.items()
        }
        headers = {} if asked.anonymous else {"Authorization": f"Token {self.token}"}
        path = API + asked.path.format_map(names)
        return self._client.request(asked.method, path, json=body, headers=headers)

    def works(self, *all_asked: Asked) -> list[str]:
        """Return what is not answered as when all is well."""
        answers = [(asked, self.ask(asked)) for asked in all_asked]
        return [
            f"{asked.method} {asked.path}: {answer.status_code} {answer.text}"
            for asked, answer in answers
            if answer.status_code != asked.status
        ]

    def refused(self, *all_asked: Asked) -> list[str]:
        """Return what is not answered by 503 with Retry-After in the contract's words, soon."""
        faults: list[str] = []
        for asked in all_asked:
            began = time.monotonic()
            answer = self.ask(asked)
            took = time.monotonic() - began
            told = f"{asked.method} {asked.path}: {answer.status_code} {answer.text}"
            if answer.status_code != 503:
                faults.append(told)
            elif not answer.headers.get("Retry-After", "").isdigit():
                faults.append(f"{told}: no Retry-After")
            elif answer.json() != {"detail": "Service temporarily unavailable, try again later."}:
                faults.append(f"{told}: in whose words?")
            if took > SOON_S + SLACK_S:
                faults.append(f"{told}: after {took:.1f} s")
        return faults

    def refused_together(self, *all_asked: Asked) -> list[str]:
        """Return the same of many who ask at the same moment."""
        with ThreadPoolExecutor(len(all_asked)) as pool:
            return [fault for faults in pool.map(self.refused, all_asked) for fault in faults]

    def health(self) -> tuple[int, int]:
        """Return how /healthz and /readyz are answered; each must be soon."""
        alive, ready = (self._client.get(path) for path in ("/healthz", "/readyz"))
        for answer in (alive, ready):
            took = answer.elapsed.total_seconds()
            assert took < SOON_S + SLACK_S, f"{answer.url.path} after {took:.1f} s"
        if ready.status_code != 200:
            assert ready.headers["Retry-After"].isdigit()
        return alive.status_code, ready.status_code

    def comes_back(self) -> bool:
        """Wait until the server is ready again; say whether it was in time."""
        return wait_for(lambda: self.health() == (200, 200), BACK_S)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


@contextlib.contextmanager
def serving(
    database: str, folder: Path, workers: int = 1, log_level: str = "warning"
) -> Iterator[Server]:
    """Run a server that must not find a bug in itself, and must end well."""
    settings = {**environment(database), "DRAGOMAN_LOG_LEVEL": log_level}
    server = Server(settings, folder, "--workers", str(workers))
    server.start()
    try:
        yield server
        assert '"bug"' not in server.said(), server.said()
        server.stop()
    finally:
        server.kill()


@contextlib.contextmanager
def calling(database: str, folder: Path) -> Iterator[Caller]:
    """Run such a server and call it."""
    with serving(database, folder) as server, contextlib.closing(Caller(server)) as caller:
        yield caller
