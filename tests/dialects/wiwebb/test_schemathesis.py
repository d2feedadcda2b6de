"""Everything that ``openapi.yaml`` allows and forbids, and what no document foresees.

Schemathesis makes the requests from the document: systematic ones that go to the edges of every
parameter and field, valid and not, and random ones. Whoever asks, the answer must be one that
the document describes. They are the same ones in every run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.python import asgi
from schemathesis.specs.openapi import checks

import dragoman
from dragoman import app
from dragoman.actions import tenants, tokens
from dragoman.actions.directory import machine
from dragoman.dialects.wiwebb.auth import KIND
from dragoman.rules.model import TenantChanges
from tests.support.databases import Shelf, settings_for
from tests.support.world import PASSWORD, World


class Stage:
    """Where the application of the moment stands: Schemathesis wants one that stays."""

    application: Any = None
    address = "127.0.0.1"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass everything on, as if it came from the address of the moment."""
        if scope["type"] == "http":
            scope["client"] = (self.address, 50_000)
        await self.application(scope, receive, send)


STAGE = Stage()
DOCUMENT = Path(dragoman.__file__).parent / "dialects" / "wiwebb" / "openapi.yaml"
SEED = 20
SCHEMA = schemathesis.openapi.from_path(DOCUMENT, config=schemathesis.Config(seed=SEED))
SCHEMA.config.update(base_url="http://127.0.0.1:8000/wiwebb")
SCHEMA.config.generation.with_security_parameters = False
SCHEMA.app = STAGE
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)]
CHECKS: list[Any] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    checks.allow_header_conformance,
    checks.negative_data_rejection,
]
NEW = {"username": "new{}", "email": "new{}@fresh.test", "name": "New {}", "slug": "new-{}"}
"""What must be unique."""
RANDOM = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
SHOWN = 12
"""How many failures are told in full."""


class Caller:
    """Somebody who asks, in a world of its own; signs in again when its token has died."""

    def __init__(self, database: str, world: World, name: str) -> None:
        self.database = database
        self.settings = settings_for(database)
        STAGE.application = app.create(self.settings)
        self.person = world.people.get(name)
        self.token = self.person.token if self.person else ""
        self.own_id = self.person.id if self.person else 0
        self.ids = [person.id for person in world.people.values()]
        self.tenants = [tenant.id for tenant in world.tenants.values()]
        self.tenants.append(asyncio.run(self._vacant_tenant()))
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.failures: dict[str, str] = {}
        self._sent: set[tuple[str, Any]] = set()

    async def _vacant_tenant(self) -> int:
        """Add a tenant without users: the only kind that can be deleted."""
        new = TenantChanges(name="Vacant", slug="vacant")
        async with (
            app.opened(self.settings) as directory,
            directory.begin(machine("tests")) as tx,
        ):
            return (await tenants.create(tx, new)).tenant.id

    def headers(self) -> dict[str, str]:
        """Return who it is."""
        return {"Authorization": f"Token {self.token}"} if self.token else {}

    def try_out(self, case: Case, number: int) -> None:
        """Send one request and keep what is wrong with the answer, once for each kind."""
        self._aim(case, number)
        headers = self.headers()
        label = case.operation.label
        response = case.call(headers=headers)
        first = response.status_code < 300 and not self.statuses[label, response.status_code]
        self.statuses[label, response.status_code] += 1
        chosen = [*CHECKS, checks.ignored_auth] if first else CHECKS
        try:
            case.validate_response(response, chosen, headers=headers)
        except FailureGroup as group:
            for failure in group.exceptions:
                kind = f"{label}: {type(failure).__name__} {response.status_code}"
                self.failures.setdefault(kind, f"{failure}\n{group.message}")
        if self.person and (response.status_code == 401 or label.endswith("/logout/")):
            self.token = asyncio.run(self._fresh_token())

    def _aim(self, case: Case, number: int) -> None:
        """Let most well-formed requests reach further than to "not found" and "taken".

        Two of three ids become those of somebody who is there; what must be unique and was sent
        before becomes new; passwords that must be right are.
        """
        STAGE.address = f"10.0.{number // 250 % 250}.{number % 250}"
        if number % 3 == 0:
            return
        given = str(case.path_parameters.get("id", ""))
        bad_body = case.meta is not None and case.meta.is_negative_at(ParameterLocation.BODY)
        if given and (bad_body or given.isdigit()):
            there = self.tenants if "/tenants/" in case.path else self.ids
            if case.method == "DELETE":
                there = [user_id for user_id in there if user_id != self.own_id]
            case.path_parameters = {"id": there[number % len(there)]}
        body: Any = case.body
        if case.meta is None or case.meta.generation.mode.is_negative or not isinstance(body, dict):
            return
        aimed: dict[str, Any] = {}
        if case.operation.label.endswith("/login/"):
            aimed = {"username": "olga", "password": PASSWORD}
        elif case.method == "POST":
            aimed = dict.fromkeys(body.keys() & {"old_password"}, PASSWORD)
            sent = {(key, value) for key, value in body.items() if key in NEW}
            aimed |= {key: NEW[key].format(number) for key, _ in sent & self._sent}
            self._sent |= sent
        case.body = {**body, **aimed}  # a new one: requests may share what they are made of

    async def _fresh_token(self) -> str:
        assert self.person is not None
        async with app.opened(self.settings) as opened, opened.begin(machine("tests")) as tx:
            return (await tokens.issue(tx, opened, self.person.id, KIND)).secret

    def report(self) -> None:
        """Fail if anything was wrong."""
        if self.failures:
            told = [f"## {kind}\n{text}" for kind, text in self.failures.items()]
            head = f"{len(told)} kinds of failures: {', '.join(self.failures)}"
            pytest.fail("\n\n".join([head, *told[:SHOWN]]), pytrace=False)


@contextmanager
def calling(shelf: Shelf, backend: str, name: str) -> Iterator[Caller]:
    """Let somebody call in a fresh world; fail in the end if any answer was wrong."""
    with shelf.inhabited(backend) as (database, world):
        caller = Caller(database, world, name)
        try:
            yield caller
        finally:
            asgi.shutdown_lifespans()
    caller.report()


def systematic(operation: Any, every: int = 1) -> Iterator[Case]:
    """Yield the requests at the edges, each n-th of them."""
    config = SCHEMA.config.generation_for(operation=operation)
    for mode in GenerationMode:
        cases = SCHEMA.iter_coverage_cases(
            operation, generation_modes=[mode], generation_config=config
        )
        yield from islice(cases, None, None, every)


def at_random(operation: Any, mode: GenerationMode, number: int) -> list[Case]:
    """Return some requests out of all that there could be."""
    cases: list[Case] = []

    @seed(SEED)
    @settings(RANDOM, max_examples=number)
    @given(case=operation.as_strategy(generation_mode=mode))
    def take(case: Case) -> None:
        cases.append(case)

    take()
    return cases


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(shelf: Shelf, operation: Any) -> None:
    """For every endpoint, asked by a superadmin."""
    with calling(shelf, "sqlite", "root") as caller:
        for number, case in enumerate(systematic(operation)):
            caller.try_out(case, number)
        for mode in GenerationMode:
            if mode.is_positive or takes_anything(operation):
                for number, case in enumerate(at_random(operation, mode, 6)):
                    caller.try_out(case, number)
    reached = {status for _, status in caller.statuses}
    assert operation.label in NEVER_DONE or reached & {200, 201, 204}, caller.statuses
    assert caller.statuses[operation.label, 401] <= 1, caller.statuses


NEVER_DONE = {"POST /api/v1/auth/password/reset/confirm/", "GET /api/v1/tenants/me/"}
"""What a superadmin who gets no mail cannot do."""


def takes_anything(operation: Any) -> bool:
    """Say whether a request to an endpoint can be wrong in anything but its method."""
    return bool(operation.body or operation.path_parameters or operation.query)


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["ada", "olga", "mia", "nobody"])
def test_answers_to_others_are_too(shelf: Shelf, who: str) -> None:
    """Asked by an admin, an owner, a subscriber, and by who has no credential at all."""
    with calling(shelf, "sqlite", who) as caller:
        for operation in OPERATIONS:
            for number, case in enumerate(systematic(operation, every=9)):
                caller.try_out(case, number)
    if who == "nobody":
        done = {label for label, status in caller.statuses if status < 300}
        assert done <= {
            f"POST /api/v1/auth/{n}/" for n in ("registration", "login", "password/reset")
        }


@pytest.mark.postgresql
@pytest.mark.parametrize("who", ["root", "olga"])
def test_answers_are_the_same_ones_on_postgresql(shelf: Shelf, who: str) -> None:
    """Fewer of them: what differs is the store alone."""
    with calling(shelf, "postgresql", who) as caller:
        for operation in OPERATIONS:
            for number, case in enumerate(systematic(operation, every=11)):
                caller.try_out(case, number)
