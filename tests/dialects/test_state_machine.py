"""The service, spoken to through five contracts, against a plain dict: they never differ."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from tests.dialects.test_one_directory import ADMIN, PASSWORD, secret_in
from tests.support.clients import (
    CLIENTS,
    CLOSED,
    HOSTS,
    MOUNTS,
    Person,
    RefusedResponse,
    can,
    exists_at,
    load_ids,
    sign_in_everywhere,
)
from tests.support.databases import DatabaseTemplates, query, settings_for
from tests.support.running_app import running_client

EXAMPLES, STEPS = int(os.environ.get("STATE_EXAMPLES", "6")), 25
contract_names = st.sampled_from(sorted(CLIENTS))
numbers = st.integers(0, 10_000)


class ModelUser:
    """What the model knows of somebody."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.active = True
        self.owner = False
        self.name: str | None = None
        self.sessions: list[Any] = []


class DirectoryMachine(RuleBasedStateMachine):
    """Acts at random through contracts at random; the model says what must follow."""

    database_templates: DatabaseTemplates
    backend: str
    database: str
    clients: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.known: dict[int, ModelUser] = {}
        self.gone: list[ModelUser] = []
        self.number = 0
        self.shelved: Any = None

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize(way=st.sampled_from(MOUNTS))
    def begin(self, way: str) -> None:
        self.shelved = self.database_templates.empty(self.backend)
        self.database = self.shelved.__enter__()
        chosen = settings_for(self.database, hosts=HOSTS)
        self.secret = secret_in(chosen)

        async def start() -> None:
            http = await self.stack.enter_async_context(running_client(chosen))
            ((tenant,),) = await query(self.database, "SELECT id FROM tenants")
            self.clients = await sign_in_everywhere(http, way, ADMIN, tenant)

        self.do(start())

    def teardown(self) -> None:
        self.do(self.stack.aclose())
        self.runner.close()
        if self.shelved is not None:
            self.shelved.__exit__(None, None, None)

    def pick(self, number: int) -> ModelUser:
        return list(self.known.values())[number % len(self.known)]

    def client_with_verb(self, by: str, verb: str, known: ModelUser) -> Any:
        """Return the contract's client, or that of wiwebb, which has every verb and is open."""
        client = self.clients[by]
        suits = can(client, verb) and exists_at(by, known.person)
        return client if suits else self.clients["wiwebb"]

    @rule(by=contract_names)
    def create_user(self, by: str) -> None:
        self.number += 1
        name = f"nora{self.number}"
        person = Person(0, "", name, f"{name}@example.com", PASSWORD)

        async def create() -> None:
            await self.clients[by].create(person, self.secret)
            await load_ids(self.database, person)

        self.do(create())
        assert person.id not in self.known
        assert all(person.id != gone.person.id for gone in self.gone), "an id was used twice"
        self.known[person.id] = ModelUser(person)

    @precondition(lambda self: self.known)
    @rule(by=contract_names, who=numbers)
    def sign_in_as(self, by: str, who: int) -> None:
        known = self.pick(who)
        client = self.clients[by]
        if known.active and exists_at(by, known.person):
            credential = self.do(client.sign_in(known.person))
            known.sessions.append(client.with_credential(credential))
        else:
            with pytest.raises(RefusedResponse):
                self.do(client.sign_in(known.person))

    @precondition(lambda self: self.known)
    @rule(by=contract_names, who=numbers, active=st.booleans())
    def switch(self, by: str, who: int, active: bool) -> None:
        known = self.pick(who)
        client = self.client_with_verb(by, "switch", known)
        act = client.switch(known.person, active=active)
        if not active and self.is_last(known) and client.name != "wiwebb":
            self.check_refused(act)
            return
        self.do(act)
        if known.active and not active:
            self.end_sessions(known)
        known.active = active

    @precondition(lambda self: self.known)
    @rule(by=contract_names, who=numbers, owner=st.booleans())
    def promote(self, by: str, who: int, owner: bool) -> None:
        known = self.pick(who)
        client = self.client_with_verb(by, "promote", known)
        act = client.promote(known.person, owner=owner)
        if not owner and self.is_last(known) and client.name != "wiwebb":
            self.check_refused(act)
            return
        self.do(act)
        if known.owner is not owner:
            self.end_sessions(known)
            known.person.approved = True
        known.owner = owner

    @precondition(lambda self: self.known)
    @rule(by=contract_names, who=numbers, first=st.sampled_from(["Ana", "Zoë", "李"]))
    def rename(self, by: str, who: int, first: str) -> None:
        known = self.pick(who)
        self.do(
            self.client_with_verb(by, "rename", known).rename(known.person, first, "de la Cruz")
        )
        known.name = f"{first} de la Cruz"

    @precondition(lambda self: self.known)
    @rule(by=contract_names, who=numbers)
    def set_password(self, by: str, who: int) -> None:
        known = self.pick(who)
        self.number += 1
        password = f"{PASSWORD}-{self.number}"
        client = self.client_with_verb(by, "set_password", known)
        self.do(client.set_password(known.person, password))
        known.person.password = password
        self.end_sessions(known)

    @precondition(lambda self: self.known)
    @rule(by=contract_names, who=numbers)
    def delete(self, by: str, who: int) -> None:
        known = self.pick(who)
        by = self.client_with_verb(by, "delete", known).name
        if self.is_last(known) and by != "wiwebb":
            self.check_refused(self.clients[by].delete(known.person))
            return
        self.do(self.clients[by].delete(known.person))
        self.end_sessions(known)
        del self.known[known.person.id]
        self.gone.append(known)

    def is_last(self, known: ModelUser) -> bool:
        """Say whether somebody is the tenant's last active owner; at wiwebb that may go."""
        others = [k for k in self.known.values() if k.owner and k.active and k is not known]
        return known.owner and known.active and not others

    def check_refused(self, act: Coroutine[Any, Any, Any]) -> None:
        """This act must not be had, and changes nothing."""
        with pytest.raises(RefusedResponse) as refused:
            self.do(act)
        assert refused.value.status in {400, 409}

    def end_sessions(self, known: ModelUser) -> None:
        """Every session of somebody has ended, at every contract."""
        for session in known.sessions:
            assert not self.do(session.is_accepted(known.person)), session.name
        known.sessions.clear()

    @precondition(lambda self: self.known)
    @rule(by=contract_names, who=numbers)
    def check_shown(self, by: str, who: int) -> None:
        known = self.pick(who)
        client = self.client_with_verb(by, "everybody", known)
        seen = self.do(client.find_user(known.person))
        assert seen is not None
        assert seen.username in {None, known.person.username}
        assert seen.email in {None, known.person.email}
        assert seen.active in {None, known.active}
        assert seen.owner in {None, known.owner}
        if known.name is not None:
            assert seen.name in {None, known.name}
        for session in known.sessions:
            assert self.do(session.is_accepted(known.person)), session.name

    @precondition(lambda self: self.gone)
    @rule(by=contract_names, who=numbers)
    def check_gone(self, by: str, who: int) -> None:
        known = self.gone[who % len(self.gone)]
        client = self.client_with_verb(by, "everybody", known)
        assert self.do(client.find_user(known.person)) is None

    @precondition(lambda self: any(not known.person.approved for known in self.known.values()))
    @rule(by=st.sampled_from(sorted(CLOSED)), who=numbers)
    def check_unknown(self, by: str, who: int) -> None:
        unapproved = [known.person for known in self.known.values() if not known.person.approved]
        person = unapproved[who % len(unapproved)]
        client = self.clients[by]
        for act in (client.sign_in(person), client.delete(person)):
            with pytest.raises(RefusedResponse):
                self.do(act)
        if can(client, "everybody"):
            assert self.do(client.find_user(person)) is None

    @invariant()
    def lists_equal_the_model(self) -> None:
        if self.shelved is None:
            return
        people = [known.person for known in self.known.values()]
        names = [person.username for person in people]
        emails = [person.email for person in people if person.approved]
        for name in ("wiwebb", "vsay"):
            listed = self.do(self.clients[name].everybody())
            assert listed == set(emails if name == "vsay" else names), name


@pytest.fixture
def machine(database_templates: DatabaseTemplates, backend: str) -> type[DirectoryMachine]:
    """The machine on one of the two databases."""

    class OnThis(DirectoryMachine):
        pass

    OnThis.database_templates, OnThis.backend = database_templates, backend
    return OnThis


@pytest.mark.timeout(300)
def test_the_service_is_a_plain_dict(machine: type[DirectoryMachine]) -> None:
    run(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
