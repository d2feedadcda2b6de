"""What ``explain`` says is what a sign-in at that contract answers, for every reason there is."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import msgspec
import pytest

from dragoman import app, dialects
from dragoman.actions import explain, tenants, users
from dragoman.actions.directory import Directory
from dragoman.actions.explain import ContractExplanation, ReasonCode
from dragoman.rules import crypto
from dragoman.rules.client_addresses import client_network
from dragoman.rules.model import Role, TenantChanges, User
from dragoman.settings import Settings
from dragoman.store.transaction import now
from tests.support.databases import query, settings_for
from tests.support.people import SYSTEM_ACTOR, make_tenant, make_user, transaction
from tests.support.rows import Rows, open_rows
from tests.support.running_app import running_client
from tests.support.user_requests import SIGN_INS

pytestmark = pytest.mark.anyio

BY_EMAIL = {"binacle", "vsay"}
LONG, MIDDLE, SHORT = "violet-Kettle-42", "kettle-42", "kettle7"
STATES = (
    "inactive", "tenant_inactive", "not_approved", "not_proven", "no_email", "no_password",
    "short", "middle", "short_unknown", "long_unknown", "deleted",
    "locked", "locked_but_known", "locked_here", "locked_elsewhere",
)  # fmt: skip
PASSWORDS = {"short": SHORT, "short_unknown": MIDDLE, "middle": MIDDLE}
EXCLUSIVE = ({"short", "middle", "short_unknown", "long_unknown", "no_password"},)


def combinations() -> list[tuple[str, ...]]:
    """Return nothing, every state, and every two that can be true together."""
    pairs = [
        pair
        for pair in itertools.combinations(STATES, 2)
        if not any(set(pair) <= exclusive for exclusive in EXCLUSIVE)
    ]
    return [(), *((state,) for state in STATES), *pairs]


class Case(msgspec.Struct, frozen=True):
    """A person, the states that it is in, and its password."""

    states: tuple[str, ...]
    user: User
    password: str


class Builder:
    """Makes people in given states, behind the application's back where no action does."""

    def __init__(self, directory: Directory, rows: Rows, closed_tenant: int, home: int) -> None:
        self._directory = directory
        self._rows = rows
        self._closed_tenant = closed_tenant
        self._home = home

    async def make(self, states: tuple[str, ...], number: int) -> Case:
        password = next((PASSWORDS[state] for state in states if state in PASSWORDS), LONG)
        tenant_id = self._closed_tenant if "tenant_inactive" in states else self._home
        user = await make_user(
            self._directory, f"u{number}", tenant_id=tenant_id, password=password,
            email=f"u{number}@acme.test",
        )  # fmt: skip
        for state in states:
            await getattr(self, f"_{state}", self._update)(user, state)
        return Case(states, user, password)

    async def _update(self, user: User, state: str) -> None:
        assignments = {
            "inactive": "active = false",
            "not_approved": "approved = false",
            "not_proven": "signed_up = true, verified = false, email_assigned = false",
            "no_email": "email = '', email_key = ''",
            "no_password": "password_hash = '', password_reaches = NULL",
            "short_unknown": "password_reaches = NULL",
            "long_unknown": "password_reaches = NULL",
        }
        if state in assignments:
            await self._execute(f"UPDATE users SET {assignments[state]} WHERE id = {user.id}")
        if state == "no_email":
            await self._execute(f"DELETE FROM names WHERE key = '{user.email}'")

    async def _deleted(self, user: User, _: str) -> None:
        async with transaction(self._directory) as tx:
            await users.delete(tx, user.id, erase=bool(user.id % 2))

    async def _locked(self, user: User, _: str) -> None:
        await self._failures(user, "", 100)

    async def _locked_but_known(self, user: User, _: str) -> None:
        await self._failures(user, "", 100)
        row = {"user_id": user.id, "address": self._address("203.0.113.9"), "last_at": now()}
        await self._rows.add("addresses", row)

    async def _locked_here(self, user: User, _: str) -> None:
        await self._failures(user, self._address("127.0.0.1"), 10)

    async def _locked_elsewhere(self, user: User, _: str) -> None:
        await self._failures(user, self._address("203.0.113.7"), 10)

    async def _failures(self, user: User, address: str, count: int) -> None:
        account = f"user:{user.id}"
        await self._execute(
            f"DELETE FROM failures WHERE account = '{account}' AND address = '{address}'"
        )
        row = {"account": account, "address": address, "since": now(), "count": count}
        await self._rows.add("failures", row)

    def _address(self, address: str) -> str:
        return crypto.derive(self._directory.server_key, "address", client_network(address))

    async def _execute(self, statement: str) -> None:
        await self._rows.execute([(statement, [])])


async def make_cases(directory: Directory, database: str, states: Any) -> list[Case]:
    home = await make_tenant(directory, "home")
    closed = await make_tenant(directory, "closed")
    rows = await open_rows(database)
    try:
        builder = Builder(directory, rows, closed, home)
        made = [await builder.make(each, number) for number, each in enumerate(states)]
    finally:
        await rows.close()
    async with transaction(directory) as tx:
        await tenants.update(tx, closed, TenantChanges(active=False), home_slug="main")
    return made


async def explanations(
    directory: Directory, settings: Settings, user_id: int
) -> dict[str, ContractExplanation]:
    found = await explain.explain(
        directory, directory.read(SYSTEM_ACTOR), user_id, app.explained_contracts(settings)
    )
    return {each.contract: each for each in found.contracts}


async def can_sign_in(http: httpx.AsyncClient, contract: str, case: Case) -> bool:
    path, field = SIGN_INS[contract]
    name = case.user.email if contract in BY_EMAIL else case.user.username
    answer = await http.post(path, json={field: name, "password": case.password})
    assert answer.status_code < 500, answer.text
    return answer.is_success


UNCERTAIN = {
    "short_unknown": ReasonCode.PASSWORD_TOO_SHORT,
    "long_unknown": ReasonCode.PASSWORD_TOO_SHORT,
    "locked_but_known": ReasonCode.LOCKED,
    "locked_here": ReasonCode.LOCKED,
    "locked_elsewhere": ReasonCode.LOCKED,
}


async def test_what_it_says_is_what_a_sign_in_answers(database: str) -> None:
    settings = settings_for(database, verify_email="required")
    async with app.open_directory(settings) as directory, running_client(settings) as http:
        seen: dict[ReasonCode, set[bool]] = {}
        depending: dict[str, set[bool]] = {}
        for case in await make_cases(directory, database, combinations()):
            said = await explanations(directory, settings, case.user.id)
            assert list(said) == list(dialects.NAMES)
            for contract, explanation in said.items():
                real = await can_sign_in(http, contract, case)
                codes = [reason.code for reason in explanation.because]
                if explanation.can_sign_in is None:
                    assert codes, case.states
                    assert all(not reason.certain for reason in explanation.because)
                    assert {UNCERTAIN[s] for s in case.states if s in UNCERTAIN} >= set(codes)
                    if len(case.states) == 1:
                        depending.setdefault(case.states[0], set()).add(real)
                else:
                    assert explanation.can_sign_in is real, (case.states, contract, codes)
                    assert bool(codes) is not real
                for code in codes:
                    seen.setdefault(code, set()).add(real)
        certain = set(ReasonCode) - {ReasonCode.CONTRACT_OFF, *UNCERTAIN.values()}
        assert {code: seen[code] for code in certain} == {code: {False} for code in certain}
        # What depends on something depends on it: one of a kind gets in, the other does not.
        assert depending["short_unknown"] == {False}
        assert depending["long_unknown"] == {True}
        assert depending["locked_here"] == {False}
        assert depending["locked_elsewhere"] == {True}


async def test_every_state_alone_has_its_code_where_it_counts(database: str) -> None:
    settings = settings_for(database, verify_email="required")
    everywhere = set(dialects.NAMES)
    expected = {
        "inactive": ("inactive", everywhere),
        "tenant_inactive": ("tenant_inactive", everywhere),
        "not_approved": ("not_approved", BY_EMAIL),
        "not_proven": ("not_proven", everywhere),
        "no_email": ("no_email", BY_EMAIL),
        "no_password": ("no_password", everywhere),
        "short": ("password_too_short", {"binacle"}),
        "middle": ("password_too_short", {"binacle"}),
        "deleted": ("deleted", everywhere),
        "locked": ("locked", everywhere),
    }
    async with app.open_directory(settings) as directory:
        cases = await make_cases(directory, database, [(state,) for state in expected])
        for case in cases:
            code, contracts = expected[case.states[0]]
            said = await explanations(directory, settings, case.user.id)
            refused = {name: each.because for name, each in said.items() if each.because}
            assert set(refused) == contracts, case.states
            assert {r.code.value for because in refused.values() for r in because} == {code}
            assert {name for name, each in said.items() if each.can_sign_in is False} == contracts
            reasons = [reason for because in refused.values() for reason in because]
            assert all(0 < reason.since <= now() for reason in reasons), case.states


async def test_a_contract_that_is_not_served(database: str) -> None:
    settings = settings_for(database, contracts=("wekan", "wiwebb"))
    async with app.open_directory(settings) as directory, running_client(settings) as http:
        (case,) = await make_cases(directory, database, [()])
        said = await explanations(directory, settings, case.user.id)
        for contract, explanation in said.items():
            real = await can_sign_in(http, contract, case)
            assert explanation.can_sign_in is real is (contract in settings.contracts)
            codes = [reason.code.value for reason in explanation.because]
            assert codes == ([] if real else ["contract_off"])


async def test_credentials_are_those_that_a_contract_accepts(database: str) -> None:
    settings = settings_for(database)
    async with app.open_directory(settings) as directory, running_client(settings) as http:
        (case,) = await make_cases(directory, database, [()])
        for contract in dialects.NAMES:
            assert await can_sign_in(http, contract, case)
        said = await explanations(directory, settings, case.user.id)
        counts = {name: len(each.credentials) for name, each in said.items()}
        assert counts == {name: 2 if name == "vsay" else 1 for name in dialects.NAMES}
        async with transaction(directory) as tx:
            await users.assign_role(tx, case.user.id, Role.VIEWER)  # ends every session
        said = await explanations(directory, settings, case.user.id)
        assert not any(each.credentials for each in said.values())
        assert {name: each.role for name, each in said.items()} == {
            "accounts": None, "binacle": "User", "vsay": "viewer",
            "wekan": "isAdmin: false", "wiwebb": "subscriber",
        }  # fmt: skip


async def test_a_password_that_was_used_is_known(database: str) -> None:
    settings = settings_for(database)
    async with app.open_directory(settings) as directory, running_client(settings) as http:
        (case,) = await make_cases(directory, database, [("long_unknown",)])
        assert (await explanations(directory, settings, case.user.id))[
            "binacle"
        ].can_sign_in is None
        assert await can_sign_in(http, "wekan", case)
        assert (await explanations(directory, settings, case.user.id))["binacle"].can_sign_in
        stored = f"SELECT password_reaches FROM users WHERE id = {case.user.id}"
        assert await query(database, stored) == [(15,)]
