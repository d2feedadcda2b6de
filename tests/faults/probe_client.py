"""A client that knows what an answer must be when all is well, and when the database is not."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.faults import write_load
from tests.faults.write_load import API
from tests.support.databases import ADMIN_PASSWORD
from tests.support.processes import checked_server, wait_for
from tests.support.server import Server

MAX_ANSWER_S = 2.0
TOLERANCE_S = 0.5
"""What a busy machine may add."""
MAX_RECOVERY_S = 5.0
CONCURRENT_CALLERS = 24


class ProbeRequest(msgspec.Struct, frozen=True):
    """One request; ``status`` is its answer when all is well."""

    method: str
    path: str
    status: int
    body: dict[str, Any] | None = None
    anonymous: bool = False


READS = (
    ProbeRequest("GET", "/users/{id}/", 200),
    ProbeRequest("GET", "/users/", 200),
    ProbeRequest("GET", "/users/?search=keep", 200),
    ProbeRequest("GET", "/auth/user/", 200),
    ProbeRequest("GET", "/tenants/{tenant}/", 200),
)
WRITES = (
    ProbeRequest("PATCH", "/users/{id}/", 200, {"location": "place {n}"}),
    ProbeRequest("POST", "/users/{id}/activate/", 200, {"is_active": True}),
    ProbeRequest("POST", "/users/{id}/assign-role/", 200, {"role": "subscriber"}),
    ProbeRequest("POST", "/tenants/", 201, {"name": "T{n}", "slug": "t{n}"}),
)
SIGN_IN = ProbeRequest(
    "POST", "/auth/login/", 200, {"username": "admin", "password": ADMIN_PASSWORD}, anonymous=True
)
MISSING_USER = ProbeRequest("GET", "/users/987654321/", 404)
GROWING = (WRITES[0], WRITES[3], SIGN_IN)
"""What writes something every time, whatever was there before."""
RESET = ProbeRequest(
    "POST", "/auth/password/reset/", 200, {"email": "keep@storm.test"}, anonymous=True
)


class ProbeClient:
    """A client of a running server, signed in as its superadmin, with a user to act upon."""

    def __init__(self, server: Server) -> None:
        self._client = httpx.Client(base_url=server.url, timeout=60)
        self.token, tenant = write_load.sign_in_as_admin(server.url)
        self._number = 0
        self._names = {"tenant": tenant, "id": 0}
        body = {"username": "keep", "email": "keep@storm.test", "password": "kettle-Violet-1"}
        made = self.ask(
            ProbeRequest("POST", "/users/", 201, {**body, "role": "subscriber", "tenant": tenant})
        )
        self._names["id"] = made.json()["id"]

    def ask(self, asked: ProbeRequest) -> httpx.Response:
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

    def unexpected_answers(self, *all_asked: ProbeRequest) -> list[str]:
        """Return what is not answered as when all is well."""
        answers = [(asked, self.ask(asked)) for asked in all_asked]
        return [
            f"{asked.method} {asked.path}: {answer.status_code} {answer.text}"
            for asked, answer in answers
            if answer.status_code != asked.status
        ]

    def not_unavailable(self, *all_asked: ProbeRequest) -> list[str]:
        """Return what is not answered by 503 with Retry-After in the contract's words, soon.

        How long the same server took for /healthz meanwhile, which asks no database, is how far
        the machine is behind: that much later is soon as well.
        """
        problems: list[str] = []
        for asked in all_asked:
            with self._slowest_health_check() as slowest_s:
                began = time.monotonic()
                answer = self.ask(asked)
                took = time.monotonic() - began
            answer_text = f"{asked.method} {asked.path}: {answer.status_code} {answer.text}"
            if answer.status_code != 503:
                problems.append(answer_text)
            elif not answer.headers.get("Retry-After", "").isdigit():
                problems.append(f"{answer_text}: no Retry-After")
            elif answer.json() != {"detail": "Service temporarily unavailable, try again later."}:
                problems.append(f"{answer_text}: in whose words?")
            if took > MAX_ANSWER_S + TOLERANCE_S + max(slowest_s):
                problems.append(f"{answer_text}: after {took:.1f} s")
        return problems

    @contextlib.contextmanager
    def _slowest_health_check(self) -> Iterator[list[float]]:
        """Ask for /healthz until the block ends; yield the list of the times taken in seconds."""
        times, ended = [0.0], threading.Event()

        def poll() -> None:
            while not ended.wait(0.1):
                times.append(self._client.get("/healthz").elapsed.total_seconds())

        thread = threading.Thread(target=poll)
        thread.start()
        try:
            yield times
        finally:
            ended.set()
            thread.join()

    def not_unavailable_concurrently(self, *all_asked: ProbeRequest) -> list[str]:
        """Return the same of many who ask at the same moment."""
        with ThreadPoolExecutor(len(all_asked)) as pool:
            return [
                problem
                for problems in pool.map(self.not_unavailable, all_asked)
                for problem in problems
            ]

    def health(self) -> tuple[int, int]:
        """Return how /healthz and /readyz are answered; each must be soon."""
        alive, ready = (self._client.get(path) for path in ("/healthz", "/readyz"))
        for answer in (alive, ready):
            took = answer.elapsed.total_seconds()
            assert took < MAX_ANSWER_S + TOLERANCE_S, f"{answer.url.path} after {took:.1f} s"
        if ready.status_code != 200:
            assert ready.headers["Retry-After"].isdigit()
        return alive.status_code, ready.status_code

    def wait_until_ready(self) -> bool:
        """Wait until the server is ready again; say whether it was in time."""
        return wait_for(lambda: self.health() == (200, 200), MAX_RECOVERY_S)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


@contextlib.contextmanager
def probing(database: str, folder: Path) -> Iterator[ProbeClient]:
    """Run such a server and call it."""
    with (
        checked_server(database, folder) as server,
        contextlib.closing(ProbeClient(server)) as caller,
    ):
        yield caller
