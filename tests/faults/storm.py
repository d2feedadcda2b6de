"""A storm of writes over HTTP that keeps a journal of what it was promised.

Every writer changes its own users alone, so that the journal knows what each of them must be:
the state that was acknowledged last, or the one of the request that was cut short. Each request
carries an id of its own, which the history repeats: a change is there exactly if its row is.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import httpx
import msgspec
from msgspec.structs import replace

from dragoman.rules.model import Role
from tests.faults.processes import wait_for
from tests.support.databases import ADMIN_PASSWORD

API = "/api/v1"
FEWEST, MOST = 3, 9
"""How many living users a writer has."""
SHARED = tuple(f"shared{n}@storm.test" for n in range(12))
"""Addresses that all writers fight for."""

PATCH, EMAIL, SWITCH, ROLE, DELETE, CREATE, PASSWORD, SIGN_IN = (
    "patch", "email", "switch", "role", "delete", "create", "password", "sign_in",
)  # fmt: skip
WEIGHTS = {PATCH: 44, EMAIL: 12, SWITCH: 20, ROLE: 9, DELETE: 7, CREATE: 5, PASSWORD: 2, SIGN_IN: 1}
"""How often what is done; what needs a hash seldom."""
ACTIONS = {
    PATCH: "users.update", EMAIL: "users.update", SWITCH: "users.set_active",
    ROLE: "users.assign_role", DELETE: "users.delete", CREATE: "users.create",
    PASSWORD: "users.set_password", SIGN_IN: "sign_in",
}  # fmt: skip
ROLES = {"subscriber": Role.MEMBER, "tenant_owner": Role.OWNER}


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one user that the writers change."""

    username: str
    email: str
    password: str
    location: str = ""
    role: str = "subscriber"
    active: bool = True
    epoch: int = 0
    alive: bool = True


class Attempt(msgspec.Struct, frozen=True):
    """One request that changes something."""

    request_id: str
    action: str
    before: State | None
    after: State


class Account(msgspec.Struct):
    """What the journal knows of a user. ``open`` is a request whose fate is not known."""

    state: State | None = None
    id: int = 0
    open: Attempt | None = None
    tokens: list[tuple[str, int]] = []
    """Keys that were handed out, with the epoch of that moment."""


class Journal:
    """What was promised, over all storms on one database."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.accounts: list[Account] = []
        self.promised: dict[str, tuple[str, int]] = {}  # request id: the history's action, target
        self.refused: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self.surprises: list[str] = []
        self._lock = threading.Lock()
        self._number = 0

    def number(self) -> int:
        """Return a number that was not given before."""
        with self._lock:
            self._number += 1
            return self._number


class Storm:
    """Some writers at work. Leaving the block stops them and waits for them.

    Args:
        journal: where they write down what they were promised.
        url: where the server is.
        token: of a superadmin.
        tenant: the id of the tenant in which they work.
        forgiving: an answer 503 leaves open whether the change was made.
    """

    def __init__(
        self,
        journal: Journal,
        url: str,
        token: str,
        tenant: int,
        *,
        writers: int = 6,
        forgiving: bool = False,
    ) -> None:
        self.journal = journal
        self.forgiving = forgiving
        self.stopped = threading.Event()
        share = [[] for _ in range(writers)]
        for index, account in enumerate(journal.accounts):
            share[index % writers].append(account)
        self.writers = [
            Writer(self, url, token, tenant, accounts, journal.random.getrandbits(64))
            for accounts in share
        ]

    def __enter__(self) -> Storm:
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for writer in self.writers:
            writer.join(60)
        assert not any(writer.is_alive() for writer in self.writers), "a request never ended"
        known = {id(account) for account in self.journal.accounts}
        for writer in self.writers:
            new = [account for account in writer.accounts if id(account) not in known]
            self.journal.accounts.extend(new)

    @property
    def answered(self) -> int:
        """How many requests were answered in all storms of this journal."""
        return sum(self.journal.statuses.values())


class Progress:
    """Has a storm got somewhere since this was made: so many answers of each writer?"""

    def __init__(self, storm: Storm, each: int = 4) -> None:
        self._storm = storm
        self._goal = storm.answered + each * len(storm.writers)

    def wait(self, seconds: float) -> bool:
        """Wait for it; say whether it came in time."""
        return wait_for(lambda: self._storm.answered >= self._goal, seconds)


class Writer(threading.Thread):
    """One client that changes its own users, one request after the other."""

    def __init__(
        self, storm: Storm, url: str, token: str, tenant: int, accounts: list[Account], seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.accounts = accounts
        self._storm = storm
        self._journal = storm.journal
        self._url = url
        self._token = token
        self._tenant = tenant
        self._random = random.Random(seed)
        self._freed: list[str] = []

    def run(self) -> None:
        """Write until the storm is over."""
        headers = {"Authorization": f"Token {self._token}"}
        with httpx.Client(base_url=self._url, headers=headers, timeout=30) as client:
            while not self._storm.stopped.is_set():
                try:
                    self._step(client)
                except Exception as fault:  # nothing may go unseen in a thread
                    self._journal.surprises.append(f"{type(fault).__name__}: {fault}")
                    return

    def _step(self, client: httpx.Client) -> None:
        usable = [a for a in self.accounts if a.state and a.state.alive and not a.open]
        if len(usable) < FEWEST:
            what = CREATE
        else:
            names, weights = zip(*WEIGHTS.items(), strict=True)
            what = self._random.choices(names, weights)[0]
            if what == CREATE and len(usable) >= MOST:
                what = DELETE
        account = Account() if what == CREATE else self._random.choice(usable)
        attempt, request = self._prepare(what, account)
        if attempt is None:
            return
        account.open = attempt
        if what == CREATE:
            self.accounts.append(account)
        self._send(client, account, attempt, request)

    def _prepare(self, what: str, account: Account) -> tuple[Attempt | None, dict[str, Any]]:
        """Return what shall be tried and the request that does it; None where it cannot be."""
        number = self._journal.number()
        old = account.state
        path = f"{API}/users/{account.id}/"
        method, body = "POST", {}
        if what == CREATE or old is None:
            name = self._freed.pop() if self._freed else f"user{number}"
            new = State(
                username=name, email=f"u{number}@storm.test", password=f"kettle-Violet-{number}"
            )
            path = f"{API}/users/"
            body = {"username": name, "email": new.email, "password": new.password}
            body |= {"role": new.role, "tenant": self._tenant}
        elif what in {PATCH, EMAIL}:
            method = "PATCH"
            new = replace(old, location=f"place {number}")
            if what == EMAIL:
                address = self._random.choice((*SHARED, f"u{number}@storm.test"))
                new = replace(new, email=address)
                body["email"] = address
            body["location"] = new.location
        elif what == SWITCH:
            new = replace(old, active=not old.active, epoch=old.epoch + old.active)
            path, body = f"{path}activate/", {"is_active": new.active}
        elif what == ROLE:
            role = "tenant_owner" if old.role == "subscriber" else "subscriber"
            new = replace(old, role=role, epoch=old.epoch + 1)
            path, body = f"{path}assign-role/", {"role": role}
        elif what == PASSWORD:
            new = replace(old, password=f"kettle-Violet-{number}", epoch=old.epoch + 1)
            path, body = f"{path}set-password/", {"password": new.password}
        elif what == SIGN_IN:
            if not old.active:
                return None, {}
            new = old
            path = f"{API}/auth/login/"
            body = {"username": old.username, "password": old.password}
        else:
            method = "DELETE"
            new = replace(old, alive=False, active=False, email="", location="")
            new = replace(new, epoch=old.epoch + 1)
        attempt = Attempt(f"storm-{number}", ACTIONS[what], old, new)
        request = {"method": method, "url": path, "headers": {"X-Request-Id": attempt.request_id}}
        return attempt, request | ({"json": body} if method != "DELETE" else {})

    def _send(
        self, client: httpx.Client, account: Account, attempt: Attempt, request: dict[str, Any]
    ) -> None:
        journal = self._journal
        try:
            answer = client.request(**request)
        except httpx.ConnectError:
            self._withdraw(account, attempt)  # it never left
            self._storm.stopped.wait(0.02)
            return
        except httpx.TransportError:
            return  # whether it was done, the history will say
        journal.statuses[answer.status_code] += 1
        if answer.is_success:
            self._acknowledge(account, attempt, answer)
        elif answer.status_code == 503 and self._storm.forgiving:
            self._storm.stopped.wait(0.05)
        else:
            taken = answer.status_code == 400 and "already exists" in answer.text
            if not taken:
                journal.surprises.append(
                    f"{request['method']} {request['url']}: {answer.status_code} {answer.text}"
                )
            self._withdraw(account, attempt)

    def _withdraw(self, account: Account, attempt: Attempt) -> None:
        self._journal.refused.add(attempt.request_id)
        account.open = None
        if account.state is None:
            self.accounts.remove(account)

    def _acknowledge(self, account: Account, attempt: Attempt, answer: httpx.Response) -> None:
        if attempt.before is None:
            account.id = answer.json()["id"]
        if attempt.action == ACTIONS[SIGN_IN]:
            account.tokens = [*account.tokens, (answer.json()["key"], attempt.after.epoch)]
        if not attempt.after.alive:
            self._freed.append(attempt.after.username)
        self._journal.promised[attempt.request_id] = (attempt.action, account.id)
        account.state, account.open = attempt.after, None


def enter(url: str) -> tuple[str, int]:
    """Sign in as the first superadmin; return the token and the id of the first tenant."""
    with httpx.Client(base_url=f"{url}{API}", timeout=30) as client:
        login = client.post("/auth/login/", json={"username": "admin", "password": ADMIN_PASSWORD})
        token: str = login.json()["key"]
        tenants = client.get("/tenants/", headers={"Authorization": f"Token {token}"})
        return token, tenants.json()["results"][0]["id"]
