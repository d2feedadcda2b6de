"""How long nothing could be written: a client that writes all the time and notes each success."""

from __future__ import annotations

import itertools
import threading
import time

import httpx
import msgspec

from tests.faults.journal import Account, State
from tests.faults.write_load import API
from tests.support.processes import wait_for

PAUSE_S = 0.1
REQUEST_S = 5.0
"""More than a server takes to say that it cannot."""


class WriteClock(threading.Thread):
    """One client of one server, with a user of its own.

    Args:
        url: where the server is.
        token: of a superadmin, at wiwebb.
        tenant: the id of the user's tenant.
        name: the user's.
    """

    def __init__(self, url: str, token: str, tenant: int, name: str) -> None:
        super().__init__(daemon=True)
        headers = {"Authorization": f"Token {token}"}
        self._client = httpx.Client(base_url=f"{url}{API}", headers=headers, timeout=REQUEST_S)
        body = {"username": name, "email": f"{name}@storm.test", "password": "kettle-Violet-1"}
        made = self._client.post("/users/", json={**body, "role": "subscriber", "tenant": tenant})
        self._id: int = made.json()["id"]
        self._path = f"/users/{self._id}/"
        self._state = State(**body)
        self._stopped = threading.Event()
        self._successes: list[float] = []
        self._written = self._acknowledged = 0
        self.unexpected_answers: list[str] = []

    def run(self) -> None:
        """Write until stopped, one after the other: so none can overtake another."""
        for number in itertools.count(1):
            if self._stopped.wait(PAUSE_S):
                return
            self._written = number
            try:
                answer = self._client.patch(self._path, json={"location": str(number)})
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                self._acknowledged = number
                self._successes.append(time.monotonic())
            elif answer.status_code != 503:
                self.unexpected_answers.append(f"{answer.status_code} {answer.text}")

    def stop(self) -> None:
        """Stop, and wait for the request that is on its way."""
        self._stopped.set()
        self.join(2 * REQUEST_S)

    def wait_for_success(self, since: float, seconds: float) -> bool:
        """Wait for a write that was acknowledged after a moment (monotonic seconds)."""
        return wait_for(lambda: self._last() > since, seconds)

    def longest_pause(self, since: float) -> float:
        """Return the longest time between two successes of which the second was after a moment."""
        pairs = itertools.pairwise(list(self._successes))
        return max((later - earlier for earlier, later in pairs if later > since), default=0.0)

    def lost_writes(self) -> list[str]:
        """Return what is wrong with its user: it must be as acknowledged, or as asked for later."""
        shown = int(self._client.get(self._path).json()["location"])
        if self._acknowledged <= shown <= self._written:
            return []
        return [f"{self._path}: {shown}, but {self._acknowledged} was acknowledged"]

    def account(self) -> Account:
        """Return its user for a journal, as it must be: the writers of a storm leave it alone."""
        shown = self._client.get(self._path).json()["location"]
        state = msgspec.structs.replace(self._state, location=shown)
        return Account(state=state, id=self._id, excluded=True)

    @property
    def acknowledged_writes(self) -> int:
        """How many writes were acknowledged."""
        return len(self._successes)

    def _last(self) -> float:
        return self._successes[-1] if self._successes else 0.0
