"""Callers of several nodes, as behind a proxy that knows one thing: who refuses, is passed over."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.faults import write_load
from tests.faults.write_load import API
from tests.support.databases import ADMIN_PASSWORD
from tests.support.processes import wait_for

CALLERS = 4
SIGN_IN_EVERY = 25


class FailoverClients:
    """Some callers that never pause, each request on a connection of its own, node after node.

    A node that refuses the connection is passed over; anything else but success is a failure.
    Each caller writes to a user of its own, and to itself what was acknowledged last.
    """

    def __init__(self, urls: list[str]) -> None:
        self._nodes = [urlsplit(url).netloc for url in urls]
        self._token, tenant = write_load.sign_in_as_admin(urls[0])
        self._stopped = threading.Event()
        self._acknowledged: dict[int, str] = {}
        self.failures: list[str] = []
        self.answered = 0
        self.failovers = 0
        """How often a node refused and another one was asked."""
        self._threads: list[threading.Thread] = []
        headers = {"Authorization": f"Token {self._token}"}
        for number in range(CALLERS):
            body = {"username": f"turn{number}", "email": f"turn{number}@storm.test"}
            body |= {"password": "kettle-Violet-1", "role": "subscriber"}
            made = httpx.post(
                f"{urls[0]}{API}/users/", json={**body, "tenant": tenant}, headers=headers
            )
            call = threading.Thread(target=self._call, args=(made.json()["id"],), daemon=True)
            self._threads.append(call)

    def __enter__(self) -> FailoverClients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a request never ended"

    def wait_for_progress(self, seconds: float) -> bool:
        """Wait until everybody has been answered a few times more; say whether they were."""
        goal = self.answered + 10 * CALLERS
        return wait_for(lambda: self.answered >= goal, seconds)

    def acknowledged(self) -> dict[int, str]:
        """Return what was acknowledged last, by user id."""
        return dict(self._acknowledged)

    def lost_writes(self) -> list[str]:
        """Return what was acknowledged last and is not there (asked of the first that answers)."""
        problems: list[str] = []
        for user_id, place in self._acknowledged.items():
            _, shown = self._ask(itertools.cycle(self._nodes), "GET", f"/users/{user_id}/")
            if shown.get("location") != place:
                problems.append(f"user {user_id}: {shown.get('location')!r} instead of {place!r}")
        return problems

    def _call(self, user_id: int) -> None:
        turns = itertools.cycle(self._nodes)
        admin = {"username": "admin", "password": ADMIN_PASSWORD}
        for number in itertools.count(1):
            if self._stopped.is_set():
                return
            if number % SIGN_IN_EVERY == 0:
                method, path, body = "POST", "/auth/login/", admin
            elif number % 2:
                method, path, body = "PATCH", f"/users/{user_id}/", {"location": f"place {number}"}
            else:
                method, path, body = "GET", f"/users/{user_id}/", None
            try:
                status, shown = self._ask(turns, method, path, body)
            except Exception as error:  # nothing may go unseen in a thread
                self.failures.append(f"{method} {path}: {type(error).__name__}: {error}")
                continue
            if status != 200:
                self.failures.append(f"{method} {path}: {status} {shown}")
            elif method == "PATCH":
                self._acknowledged[user_id] = shown["location"]
            self.answered += 1

    def _ask(
        self, nodes: Any, method: str, path: str, body: Any = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Token {self._token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        for _ in range(2 * len(self._nodes)):
            connection = http.client.HTTPConnection(next(nodes), timeout=30)
            try:
                connection.connect()
            except ConnectionRefusedError:
                self.failovers += 1
                continue
            try:
                connection.request(method, f"{API}{path}", content, headers)
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            finally:
                connection.close()
        raise ConnectionRefusedError("by all of them")
