"""The service, spoken to through five contracts, against a plain dict: they never differ."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from tests.dialects.contracts import CLIENTS, HOSTS, WAYS, Person, Refused, can, enter, identify
from tests.dialects.test_one_directory import ADMIN, PASSWORD, secret_in
from tests.support.databases import Shelf, query, settings_for
from tests.support.running import running

EXAMPLES, STEPS = 10, 25
contracts = st.sampled_from(sorted(CLIENTS))
one = st.integers(0, 10_000)


class Known:
    """What the model knows of somebody."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.active = True
        self.owner = False
        self.name: str | None = None
        self.sessions: list[Any] = []


class Directory(RuleBasedStateMachine):
    """Acts at random through contracts at random; the model says what must follow."""

    shelf: Shelf
    backend: str
    database: str
    clients: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.known: dict[int, Known] = {}
        self.gone: list[Known] = []
        self.number = 0
        self.shelved: Any = None

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize(way=st.sampled_from(WAYS))
    def begin(self, way: str) -> None:
        self.shelved = self.shelf.empty(self.backend)
        self.database = self.shelved.__enter__()
        chosen = settings_for(self.database, hosts=HOSTS)
        self.secret = secret_in(chosen)

        async def start() -> None:
            http = await self.stack.enter_async_context(running(chosen))
            ((tenant,),) = await query(self.database, "SELECT id FROM tenants")
            self.clients = await enter(http, way, ADMIN, tenant)

        self.do(start())

    def teardown(self) -> None:
        self.do(self.stack.aclose())
        self.runner.close()
        if self.shelved is not None:
            self.shelved.__exit__(None, None, None)

    def pick(self, number: int) -> Known:
        return list(self.known.values())[number % len(self.known)]

    def able(self, by: str, verb: str) -> Any:
        """Return the contract's client, or that of wiwebb, which has every verb."""
        client = self.clients[by]
        return client if can(client, verb) else self.clients["wiwebb"]

    @rule(by=contracts)
    def come_in(self, by: str) -> None:
        self.number += 1
        name = f"nora{self.number}"
        person = Person(0, "", name, f"{name}@example.com", PASSWORD)

        async def create() -> None:
            await self.clients[by].create(person, self.secret)
            await identify(self.database, person)

        self.do(create())
        assert person.id not in self.known
        assert all(person.id != gone.person.id for gone in self.gone), "an id was used twice"
        self.known[person.id] = Known(person)

    @precondition(lambda self: self.known)
    @rule(by=contracts, who=one)
    def enter_as(self, by: str, who: int) -> None:
        known = self.pick(who)
        client = self.clients[by]
        if known.active:
            credential = self.do(client.sign_in(known.person))
            known.sessions.append(client.speaking(credential))
        else:
            with pytest.raises(Refused):
                self.do(client.sign_in(known.person))

    @precondition(lambda self: self.known)
    @rule(by=contracts, who=one, active=st.booleans())
    def switch(self, by: str, who: int, active: bool) -> None:
        known = self.pick(who)
        client = self.able(by, "switch")
        act = client.switch(known.person, active=active)
        if not active and self.is_last(known) and client.name != "wiwebb":
            self.refuse(act)
            return
        self.do(act)
        if known.active and not active:
            self.end(known)
        known.active = active

    @precondition(lambda self: self.known)
    @rule(by=contracts, who=one, owner=st.booleans())
    def promote(self, by: str, who: int, owner: bool) -> None:
        known = self.pick(who)
        client = self.able(by, "promote")
        act = client.promote(known.person, owner=owner)
        if not owner and self.is_last(known) and client.name != "wiwebb":
            self.refuse(act)
            return
        self.do(act)
        if known.owner is not owner:
            self.end(known)
        known.owner = owner

    @precondition(lambda self: self.known)
    @rule(by=contracts, who=one, first=st.sampled_from(["Ana", "Zoë", "李"]))
    def rename(self, by: str, who: int, first: str) -> None:
        known = self.pick(who)
        self.do(self.able(by, "rename").rename(known.person, first, "de la Cruz"))
        known.name = f"{first} de la Cruz"

    @precondition(lambda self: self.known)
    @rule(by=contracts, who=one)
    def set_password(self, by: str, who: int) -> None:
        known = self.pick(who)
        self.number += 1
        password = f"{PASSWORD}-{self.number}"
        self.do(self.able(by, "set_password").set_password(known.person, password))
        known.person.password = password
        self.end(known)

    @precondition(lambda self: self.known)
    @rule(by=contracts, who=one)
    def delete(self, by: str, who: int) -> None:
        known = self.pick(who)
        if self.is_last(known) and by != "wiwebb":
            self.refuse(self.clients[by].delete(known.person))
            return
        self.do(self.clients[by].delete(known.person))
        self.end(known)
        del self.known[known.person.id]
        self.gone.append(known)

    def is_last(self, known: Known) -> bool:
        """Say whether somebody is the tenant's last active owner; at wiwebb that may go."""
        others = [k for k in self.known.values() if k.owner and k.active and k is not known]
        return known.owner and known.active and not others

    def refuse(self, act: Coroutine[Any, Any, Any]) -> None:
        """This act must not be had, and changes nothing."""
        with pytest.raises(Refused) as refused:
            self.do(act)
        assert refused.value.status in {400, 409}

    def end(self, known: Known) -> None:
        """Every session of somebody has ended, at every contract."""
        for session in known.sessions:
            assert not self.do(session.works(known.person)), session.name
        known.sessions.clear()

    @precondition(lambda self: self.known)
    @rule(by=contracts, who=one)
    def look(self, by: str, who: int) -> None:
        known = self.pick(who)
        client = self.able(by, "everybody")
        seen = self.do(client.seen(known.person))
        assert seen is not None
        assert seen.username in {None, known.person.username}
        assert seen.email in {None, known.person.email}
        assert seen.active in {None, known.active}
        assert seen.owner in {None, known.owner}
        if known.name is not None:
            assert seen.name in {None, known.name}
        for session in known.sessions:
            assert self.do(session.works(known.person)), session.name

    @precondition(lambda self: self.gone)
    @rule(by=contracts, who=one)
    def look_for_the_gone(self, by: str, who: int) -> None:
        known = self.gone[who % len(self.gone)]
        assert self.do(self.able(by, "everybody").seen(known.person)) is None

    @invariant()
    def everybody_is_there_and_nobody_else(self) -> None:
        if self.shelved is None:
            return
        names = [known.person.username for known in self.known.values()]
        emails = [known.person.email for known in self.known.values()]
        for name in ("wiwebb", "vsay"):
            listed = self.do(self.clients[name].everybody())
            assert listed == set(emails if name == "vsay" else names), name


@pytest.fixture
def machine(shelf: Shelf, backend: str) -> type[Directory]:
    """The machine on one of the two databases."""

    class OnThis(Directory):
        pass

    OnThis.shelf, OnThis.backend = shelf, backend
    return OnThis


@pytest.mark.timeout(300)
def test_the_service_is_a_plain_dict(machine: type[Directory]) -> None:
    run(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
