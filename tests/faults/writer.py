"""A writer of a storm: one client that changes its own users, by whatever contract can."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from msgspec.structs import replace

from tests.faults import tongues
from tests.faults.journal import Account, Attempt, State
from tests.faults.tongues import (
    BORROWING,
    CREATE,
    DELETE,
    EMAIL,
    ERASING,
    PASSWORD,
    PATCH,
    RESET,
    ROLE,
    SIGN_IN,
    SIGN_UP,
    SWITCH,
    VERBS,
    Said,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.faults.storm import Storm

FEWEST, MOST = 3, 9
"""How many living users a writer has."""
RESETS = 4
"""How many links for a new password a user asks for: a fifth in an hour is the last."""
SHARED = tuple(f"shared{n}@storm.test" for n in range(12))
"""Addresses that all writers fight for."""
WEIGHTS = {
    PATCH: 44, EMAIL: 12, SWITCH: 20, ROLE: 9, DELETE: 7, CREATE: 4, SIGN_UP: 2, PASSWORD: 2,
    SIGN_IN: 2, RESET: 4,
}  # fmt: skip
"""How often what is done; what needs a hash seldom."""
ACTIONS = {
    PATCH: "users.update", EMAIL: "users.update", SWITCH: "users.set_active",
    ROLE: "users.assign_role", DELETE: "users.delete", CREATE: "users.create", SIGN_UP: "sign_up",
    PASSWORD: "users.set_password", SIGN_IN: "sign_in", RESET: "request_reset",
}  # fmt: skip
HASHING = frozenset({CREATE, SIGN_UP, PASSWORD, SIGN_IN})
"""What a busy machine may put off: there is a bounded queue before the hashes."""
INVITE, ACCEPT = "invite", "accept_invitation"


class NeverLeft(Exception):  # noqa: N818 - a fact of the wire
    """Nobody listens: the request was not sent."""


class Writer(threading.Thread):
    """One client that changes its own users, one request after the other."""

    def __init__(self, storm: Storm, url: str, accounts: list[Account], seed: int) -> None:
        super().__init__(daemon=True)
        self.accounts = accounts
        self._storm = storm
        self._journal = storm.journal
        self._url = url
        self._random = random.Random(seed)
        self._freed: list[str] = []

    def run(self) -> None:
        """Write until the storm is over."""
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._storm.stopped.is_set():
                try:
                    self._step(client)
                except Exception as fault:  # nothing may go unseen in a thread
                    self._journal.surprises.append(f"{type(fault).__name__}: {fault}")
                    return

    def _step(self, client: httpx.Client) -> None:
        usable = [a for a in self.accounts if a.state and a.state.alive and not a.open]
        what = CREATE
        if len(usable) >= FEWEST:
            names, weights = zip(*WEIGHTS.items(), strict=True)
            what = self._random.choices(names, weights)[0]
            if what in {CREATE, SIGN_UP} and len(usable) >= MOST:
                what = DELETE
        contract = self._random.choice([c for c in self._storm.doors.tokens if what in VERBS[c]])
        account = Account() if what in {CREATE, SIGN_UP} else self._random.choice(usable)
        if account.state is not None and not (account.id and account.public_id):
            self._learn(client, account, account.state)
            return
        after = self._after(contract, what, account)
        if after is None:
            return
        if (contract, what) == ("vsay", CREATE):
            said = self._invited(client, after)
            action = ACCEPT
        else:
            said = tongues.ASK[contract](what, account, after, self._storm.tenant)
            action = ACTIONS[what]
        if said is None:
            return
        attempt = Attempt(f"storm-{self._journal.number()}", action, account.state, after)
        account.open = attempt
        if account.state is None:
            account.made_by = attempt.request_id
            self.accounts.append(account)
        try:
            answer = self._send(client, contract, said, attempt.request_id)
        except NeverLeft:
            self._withdraw(account, attempt)
        else:
            self._note(contract, what, account, attempt, answer)

    def _after(self, contract: str, what: str, account: Account) -> State | None:
        """Return what a user shall be like; None where that cannot be asked for."""
        number = self._journal.number()
        old = account.state
        if old is None:
            email = f"u{number}@storm.test"
            name = self._freed.pop() if self._freed else f"user{number}"
            new = State(
                username=email if contract in BORROWING and what == CREATE else name,
                email=email,
                password=f"kettle-Violet-{number}",
            )
            named = contract == "vsay" or (contract, what) == ("accounts", SIGN_UP)
            return replace(new, first_name=f"N{number}", last_name="Storm") if named else new
        match what:
            case "patch" | "email":
                new = replace(old, location=f"place {number}")
                if contract != "wiwebb":
                    new = replace(old, first_name=f"N{number}")
                if contract == "vsay":
                    new = replace(new, last_name="Storm")
                if what == EMAIL:
                    address = self._random.choice((*SHARED, f"u{number}@storm.test"))
                    borrowed = old.username == old.email
                    name = address if borrowed else old.username
                    new = replace(new, email=address, username=name)
                return new
            case "switch":
                return replace(old, active=not old.active, epoch=old.epoch + old.active)
            case "role":
                role = "tenant_owner" if old.role == "subscriber" else "subscriber"
                return replace(old, role=role, epoch=old.epoch + 1)
            case "password":
                return replace(old, password=f"kettle-Violet-{number}", epoch=old.epoch + 1)
            case "sign_in":
                return old if old.active else None
            case "reset":
                account.resets += 1
                return old if old.active and account.resets <= RESETS else None
            case _:
                gone = replace(old, alive=False, active=False, epoch=old.epoch + 1)
                blank = {"username": "", "email": "", "location": ""}
                blank |= {"first_name": "", "last_name": ""}
                return replace(gone, **blank) if contract in ERASING else gone

    def _invited(self, client: httpx.Client, new: State) -> Said | None:
        """Invite somebody; return how the invitation is accepted, None if it was not made."""
        request_id = f"storm-{self._journal.number()}"
        self._journal.doubtful.add(request_id)
        said = tongues.invitation(new.email, f"{new.first_name} {new.last_name}")
        try:
            answer = self._send(client, "vsay", said, request_id)
        except NeverLeft:
            return None  # as good as one without an answer
        if answer is None or (answer.status_code == 503 and self._storm.forgiving):
            return None
        self._journal.doubtful.discard(request_id)
        if not answer.is_success:
            self._refuse("vsay", said, answer, request_id)
            return None
        self._journal.promised[request_id] = (INVITE, 0)
        return tongues.acceptance(self._storm.doors.secret(new.email), new.password)

    def _send(
        self, client: httpx.Client, contract: str, said: Said, request_id: str
    ) -> httpx.Response | None:
        """Return the answer; None where there was none, so that nobody knows what was done.

        Raises NeverLeft.
        """
        token = "" if said.anonymous else self._storm.doors.tokens[contract]
        headers = {"X-Request-Id": request_id, **tongues.headers_of(contract, token)}
        try:
            answer = client.request(
                said.method, tongues.url_of(contract, said.path), headers=headers, json=said.body
            )
        except httpx.ConnectError:
            self._storm.stopped.wait(0.02)
            raise NeverLeft from None
        except httpx.TransportError:
            return None
        self._journal.statuses[answer.status_code] += 1
        return answer

    def _note(
        self,
        contract: str,
        what: str,
        account: Account,
        attempt: Attempt,
        answer: httpx.Response | None,
    ) -> None:
        if answer is None:
            return  # whether it was done, the history will say
        if answer.is_success:
            self._acknowledge(contract, what, account, attempt, answer)
        elif answer.status_code == 503 and self._storm.forgiving:
            self._storm.stopped.wait(0.05)
        elif answer.status_code == 503 and what in HASHING:
            self._withdraw(account, attempt)  # it was not begun, says the history as well
            self._storm.stopped.wait(0.1)
        else:
            request = answer.request
            told = Said(request.method, request.url.path)
            self._refuse(contract, told, answer, attempt.request_id)
            self._withdraw(account, attempt)

    def _withdraw(self, account: Account, attempt: Attempt) -> None:
        self._journal.refused.add(attempt.request_id)
        account.open = None
        if account.state is None:
            self.accounts.remove(account)

    def _refuse(self, contract: str, said: Said, answer: httpx.Response, request_id: str) -> None:
        self._journal.refused.add(request_id)
        if not tongues.is_taken(contract, answer.status_code, answer.text):
            told = f"{contract} {said.method} {said.path}: {answer.status_code} {answer.text}"
            self._journal.surprises.append(told)

    def _acknowledge(
        self, contract: str, what: str, account: Account, attempt: Attempt, answer: httpx.Response
    ) -> None:
        body: Any = answer.json() if answer.content else None
        if attempt.before is None:
            account.id, account.public_id = tongues.ids_in(contract, what, body)
        elif not attempt.after.alive:
            self._freed.append(attempt.before.username)
        if what == SIGN_IN:
            key = tongues.key_in(contract, body)
            given = (contract, key, attempt.after.epoch, time.monotonic())
            account.tokens = [*account.tokens, given]
        self._journal.promised[attempt.request_id] = (attempt.action, account.id)
        self._journal.done[f"{contract} {what}"] += 1
        account.state, account.open = attempt.after, None

    def _learn(self, client: httpx.Client, account: Account, state: State) -> None:
        """Ask other contracts for the ids of somebody that the answer did not tell."""
        tokens = self._storm.doors.tokens
        asked = [("wiwebb", f"/api/v1/users/?page_size=100&search={quote(state.email)}")]
        if "wekan" in tokens:
            asked.append(("wekan", f"/api/users/{quote(state.username)}"))
        else:
            account.public_id = "-"  # nobody will ask for it
        for contract, path in asked:
            try:
                answer = client.get(
                    tongues.url_of(contract, path),
                    headers=tongues.headers_of(contract, tokens[contract]),
                )
            except httpx.TransportError:
                self._storm.stopped.wait(0.02)
                return
            if answer.status_code == 503 and self._storm.forgiving:
                return
            found: Any = answer.json()
            if contract == "wekan":
                account.public_id = found.get("_id", "")
            else:
                rows = [r for r in found["results"] if r["email"] == state.email]
                account.id = rows[0]["id"] if rows else 0
        if not (account.id and account.public_id):
            self._journal.surprises.append(f"made, and not to be seen: {state}")
