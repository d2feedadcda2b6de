"""A writer of a storm: one client that changes its own users, by whatever contract can."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from msgspec.structs import replace

from tests.faults import contract_requests
from tests.faults.contract_requests import (  # fmt: skip
    CREATE,
    DELETE,
    EMAIL,
    EMAIL_IS_USERNAME,
    ERASES_ON_DELETE,
    PASSWORD,
    PATCH,
    RESET,
    ROLE,
    SIGN_IN,
    SIGN_UP,
    SWITCH,
    VERBS,
)
from tests.faults.journal import Account, Attempt, State
from tests.support import user_requests
from tests.support.clients import CLOSED
from tests.support.user_requests import ContractRequest

if TYPE_CHECKING:
    from tests.faults.write_load import WriteLoad

MIN_ACCOUNTS, MAX_ACCOUNTS = 3, 9
"""How many living users a writer has."""
SHARED = tuple(f"shared{n}@storm.test" for n in range(12))
"""Addresses that all writers fight for."""
WEIGHTS = {
    PATCH: 44, EMAIL: 12, SWITCH: 20, ROLE: 9, DELETE: 7, CREATE: 4, SIGN_UP: 2, PASSWORD: 2,
    SIGN_IN: 2, RESET: 4,
}  # fmt: skip
"""How often what is done; what needs a hash seldom."""
ACTIONS = {
    PATCH: "users.update", EMAIL: "users.update", SWITCH: "users.set_active",
    ROLE: "users.assign_role", DELETE: "users.delete", CREATE: "users.create",
    SIGN_UP: "users.sign_up", PASSWORD: "users.set_password", SIGN_IN: "sessions.sign_in",
    RESET: "password_resets.request",
}  # fmt: skip
APPROVING = frozenset({ROLE})
"""What approves somebody who only signed up."""
HASHING = frozenset({CREATE, SIGN_UP, PASSWORD, SIGN_IN})
"""What a busy machine may put off: there is a bounded queue before the hashes."""
INVITE, ACCEPT = "invitations.send", "invitations.accept"


class RequestNotSent(Exception):
    """Nobody listens: the request was not sent."""


class Writer(threading.Thread):
    """One client that changes its own users, one request after the other."""

    def __init__(self, write_load: WriteLoad, url: str, accounts: list[Account], seed: int) -> None:
        super().__init__(daemon=True)
        self.accounts = accounts
        self._write_load = write_load
        self._journal = write_load.journal
        self._url = url
        self._random = random.Random(seed)
        self._freed: list[str] = []

    def run(self) -> None:
        """Write until the storm is over."""
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._write_load.stopped.is_set():
                try:
                    self._step(client)
                except Exception as error:  # nothing may go unseen in a thread
                    self._journal.unexpected_answers.append(f"{type(error).__name__}: {error}")
                    return

    def _step(self, client: httpx.Client) -> None:
        usable = [a for a in self.accounts if a.state and a.state.alive and not a.pending]
        what = CREATE
        if len(usable) >= MIN_ACCOUNTS:
            names, weights = zip(*WEIGHTS.items(), strict=True)
            what = self._random.choices(names, weights)[0]
            if what in {CREATE, SIGN_UP} and len(usable) >= MAX_ACCOUNTS:
                what = DELETE
        contract = self._random.choice(
            [c for c in self._write_load.admin_credentials.tokens if what in VERBS[c]]
        )
        if what in {CREATE, SIGN_UP}:
            account = Account(signed_up=what == SIGN_UP)
        else:
            account = self._random.choice(usable)
        if account.signed_up and contract in CLOSED:
            return
        if account.state is not None and not (account.id and account.public_id):
            self._look_up_ids(client, account, account.state)
            return
        after = self._expected_state(contract, what, account)
        if after is None:
            return
        if (contract, what) == ("vsay", CREATE):
            said = self._invited(client, after)
            action = ACCEPT
        else:
            said = contract_requests.build(contract, what, account, after, self._write_load.tenant)
            action = ACTIONS[what]
        if said is None:
            return
        if what == SIGN_UP:
            self._journal.reserve_mail(after.email)  # it is new, and asked to prove itself
        attempt = Attempt(f"storm-{self._journal.number()}", action, account.state, after)
        account.pending = attempt
        if account.state is None:
            account.made_by = attempt.request_id
            self.accounts.append(account)
        try:
            answer = self._send(client, contract, said, attempt.request_id)
        except RequestNotSent:
            self._forget_attempt(account, attempt)
        else:
            self._record_answer(contract, what, account, attempt, answer)

    def _expected_state(self, contract: str, what: str, account: Account) -> State | None:
        """Return what a user shall be like; None where that cannot be asked for."""
        number = self._journal.number()
        old = account.state
        if old is None:
            email = f"u{number}@storm.test"
            name = self._free_name(what) or f"user{number}"
            new = State(
                username=email if contract in EMAIL_IS_USERNAME and what == CREATE else name,
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
                return old if old.active and self._journal.reserve_mail(old.email) else None
            case _:
                gone = replace(old, alive=False, active=False, epoch=old.epoch + 1)
                blank = {"username": "", "email": "", "location": ""}
                blank |= {"first_name": "", "last_name": ""}
                return replace(gone, **blank) if contract in ERASES_ON_DELETE else gone

    def _free_name(self, what: str) -> str:
        """Return the name of somebody who is gone; an address only where others may give it."""
        usable = [name for name in self._freed if what != SIGN_UP or "@" not in name]
        if usable:
            self._freed.remove(usable[-1])
        return usable[-1] if usable else ""

    def _invited(self, client: httpx.Client, new: State) -> ContractRequest | None:
        """Invite somebody; return how the invitation is accepted, None if it was not made."""
        request_id = f"storm-{self._journal.number()}"
        self._journal.in_doubt.add(request_id)
        self._journal.reserve_mail(new.email)
        said = user_requests.invite(new.email, f"{new.first_name} {new.last_name}")
        try:
            answer = self._send(client, "vsay", said, request_id)
        except RequestNotSent:
            return None  # as good as one without an answer
        if answer is None or (answer.status_code == 503 and self._write_load.allow_unavailable):
            return None
        self._journal.in_doubt.discard(request_id)
        if not answer.is_success:
            self._record_refusal("vsay", said, answer, request_id)
            return None
        self._journal.acknowledged[request_id] = (INVITE, 0)
        return user_requests.accept(
            self._write_load.admin_credentials.invitation_secret(new.email), new.password
        )

    def _send(
        self,
        client: httpx.Client,
        contract: str,
        contract_request: ContractRequest,
        request_id: str,
    ) -> httpx.Response | None:
        """Return the answer; None where there was none, so that nobody knows what was done.

        Raises NeverLeft.
        """
        token = (
            ""
            if contract_request.anonymous
            else self._write_load.admin_credentials.tokens[contract]
        )
        headers = {"X-Request-Id": request_id, **user_requests.headers_of(contract, token)}
        try:
            answer = client.request(
                contract_request.method,
                user_requests.url_of(contract, contract_request.path),
                headers=headers,
                json=contract_request.body,
            )
        except httpx.ConnectError:
            self._write_load.stopped.wait(0.02)
            raise RequestNotSent from None
        except httpx.TransportError:
            return None
        self._journal.statuses[answer.status_code] += 1
        return answer

    def _record_answer(
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
            self._record_success(contract, what, account, attempt, answer)
        elif answer.status_code == 503 and self._write_load.allow_unavailable:
            self._write_load.stopped.wait(0.05)
        elif answer.status_code == 503 and what in HASHING:
            self._forget_attempt(account, attempt)  # it was not begun, says the history as well
            self._write_load.stopped.wait(0.1)
        else:
            request = answer.request
            accept_request = ContractRequest(request.method, request.url.path)
            self._record_refusal(contract, accept_request, answer, attempt.request_id)
            self._forget_attempt(account, attempt)

    def _forget_attempt(self, account: Account, attempt: Attempt) -> None:
        self._journal.refused.add(attempt.request_id)
        account.pending = None
        if account.state is None:
            self.accounts.remove(account)

    def _record_refusal(
        self,
        contract: str,
        contract_request: ContractRequest,
        answer: httpx.Response,
        request_id: str,
    ) -> None:
        self._journal.refused.add(request_id)
        if not contract_requests.is_taken(contract, answer.status_code, answer.text):
            answer_text = f"{contract} {contract_request.method} {contract_request.path}: {answer.status_code} {answer.text}"
            self._journal.unexpected_answers.append(answer_text)

    def _record_success(
        self, contract: str, what: str, account: Account, attempt: Attempt, answer: httpx.Response
    ) -> None:
        body: Any = answer.json() if answer.content else None
        if attempt.before is None:
            account.id, account.public_id = contract_requests.ids_in(contract, what, body)
        elif not attempt.after.alive:
            self._freed.append(attempt.before.username)
        if what == SIGN_IN:
            key = user_requests.credential_in(contract, body)
            given = (contract, key, attempt.after.epoch, time.monotonic())
            account.tokens = [*account.tokens, given]
        self._journal.acknowledged[attempt.request_id] = (attempt.action, account.id)
        self._journal.done[f"{contract} {what}"] += 1
        account.state, account.pending = attempt.after, None
        account.signed_up &= what not in APPROVING

    def _look_up_ids(self, client: httpx.Client, account: Account, state: State) -> None:
        """Ask other contracts for the ids of somebody that the answer did not tell."""
        tokens = self._write_load.admin_credentials.tokens
        asked = [("wiwebb", f"/api/v1/users/?page_size=100&search={quote(state.email)}")]
        if "wekan" in tokens:
            asked.append(("wekan", f"/api/users/{quote(state.username)}"))
        else:
            account.public_id = "-"  # nobody will ask for it
        for contract, path in asked:
            try:
                answer = client.get(
                    user_requests.url_of(contract, path),
                    headers=user_requests.headers_of(contract, tokens[contract]),
                )
            except httpx.TransportError:
                self._write_load.stopped.wait(0.02)
                return
            if answer.status_code == 503 and self._write_load.allow_unavailable:
                return
            found: Any = answer.json()
            if contract == "wekan":
                account.public_id = found.get("_id", "")
            else:
                rows = [r for r in found["results"] if r["email"] == state.email]
                account.id = rows[0]["id"] if rows else 0
        if not (account.id and account.public_id):
            self._journal.unexpected_answers.append(f"made, and not to be seen: {state}")
