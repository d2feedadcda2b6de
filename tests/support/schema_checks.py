"""Requests that Schemathesis makes from a contract's ``openapi.yaml``, and what answers may be.

Systematic ones go to the edges of every parameter and field, valid and not; others are random.
Whoever asks, the answer must be one that the document describes. They are the same ones in
every run.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, cast

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.python import asgi
from schemathesis.specs.openapi import checks

from dragoman import app, dialects
from dragoman.actions import tokens
from dragoman.actions.system import system_actor
from tests.support.databases import DatabaseTemplates, settings_for
from tests.support.world import PASSWORD, Person, World

SEED = 20
MAX_SHOWN = 12
"""How many failures are told in full."""
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
REFUSAL_STATUSES = [
    "400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx",
]  # fmt: skip
"""What refuses a wrong request: what Schemathesis takes for that, and 413, as a wrong one may be long."""
RANDOM = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class DocumentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What lets most well-formed requests reach further than to "not found" and "taken".

    ``paths`` gives, by a path parameter's name, values that somebody has; ``unique`` are fields
    that no two requests may share, with a pattern for new values; ``bodies`` are fields that must
    be right, by the operation's label; ``spends`` are labels after which the credential is dead.
    ``prepare`` adds to a fresh world what the contract needs besides; ``forgives`` says which
    failures the document cannot help, by their kind and text.
    """

    path_values: Callable[[World], Mapping[str, list[Any]]]
    prepare: Callable[[SchemaTester], None] | None = None
    is_allowed_deviation: Callable[[str, str], bool] | None = None
    unique_fields: Mapping[str, str] = {}
    body_overrides: Mapping[str, Mapping[str, Any]] = {}
    single_use_operations: frozenset[str] = frozenset()


class SwappableApp:
    """Where the application of the moment stands: Schemathesis wants one that stays."""

    application: Any = None
    address = "127.0.0.1"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass everything on, as if it came from the address of the moment."""
        if scope["type"] == "http":
            scope["client"] = (self.address, 50_000)
        await self.application(scope, receive, send)


class SchemaDocument:
    """A contract's document, ready to be tried out."""

    def __init__(self, name: str, aims: DocumentOptions) -> None:
        self.name = name
        self.aims = aims
        self.contract = dialects.load(name).CONTRACT
        self.stage = SwappableApp()
        path = dialects.load(name).OPENAPI
        config = schemathesis.Config.from_dict(
            {
                "seed": SEED,
                "checks": {"negative_data_rejection": {"expected-statuses": REFUSAL_STATUSES}},
            }
        )
        self._schema = schemathesis.openapi.from_path(path, config=config)
        self._schema.config.update(base_url=f"http://127.0.0.1:8000/{name}")
        self._schema.config.generation.with_security_parameters = False
        self._schema.app = self.stage
        found = self._schema.get_all_operations()
        self.operations = [each.ok() for each in found if isinstance(each, Ok)]

    @contextmanager
    def tester(
        self, database_templates: DatabaseTemplates, backend: str, who: str
    ) -> Generator[SchemaTester]:
        """Let somebody call in a fresh world; fail in the end if any answer was wrong."""
        with database_templates.seeded(backend) as (database, world):
            caller = SchemaTester(self, database, world, who)
            if self.aims.prepare is not None:
                self.aims.prepare(caller)
            try:
                yield caller
            finally:
                asgi.shutdown_lifespans()
        caller.raise_failures()

    def boundary_cases(self, operation: Any, every: int = 1) -> Iterator[Case]:
        """Yield the requests at the edges, each n-th of them."""
        config = self._schema.config.generation_for(operation=operation)
        for mode in GenerationMode:
            cases = self._schema.iter_coverage_cases(
                operation, generation_modes=[mode], generation_config=config
            )
            yield from islice(cases, None, None, every)

    def random_cases(
        self, operation: Any, mode: GenerationMode, number: int, *, start: int = SEED
    ) -> list[Case]:
        """Return some requests out of all that there could be; others for another start."""
        cases: list[Case] = []

        @seed(start)
        @settings(RANDOM, max_examples=number)
        @given(case=operation.as_strategy(generation_mode=mode))
        def take(case: Case) -> None:
            # Hypothesis draws words from the source, and this one must be found in no database.
            assume(not password_leaked([case.body, case.query, case.path_parameters]))
            cases.append(case)

        take()
        return cases

    def run_all_cases(self, caller: SchemaTester, operation: Any) -> None:
        """Send what there is for one operation: the systematic requests and some random ones."""
        for number, case in enumerate(self.boundary_cases(operation)):
            caller.run_case(case, number)
        anything = operation.body or operation.path_parameters or operation.query
        for mode in GenerationMode:
            if mode.is_positive or anything:
                for number, case in enumerate(self.random_cases(operation, mode, 6)):
                    caller.run_case(case, number)

    def run_sample(self, caller: SchemaTester, every: int) -> None:
        """Send each n-th of the systematic requests for every operation."""
        for operation in self.operations:
            for number, case in enumerate(self.boundary_cases(operation, every)):
                caller.run_case(case, number)


def password_leaked(given: Any, key: str = "") -> bool:
    """Say whether a password of the world stands anywhere but in a field for passwords."""
    if isinstance(given, dict):
        each = cast("dict[str, Any]", given).items()
        return any(password_leaked(name) or password_leaked(value, name) for name, value in each)
    if isinstance(given, list):
        return any(password_leaked(value, key) for value in cast("list[Any]", given))
    return PASSWORD in str(given) and "password" not in key.lower()


class SchemaTester:
    """Somebody who asks, in a world of its own; gets a new credential when the old one has died.

    ``there`` are the values of paths, ``at`` those of single operations, by their label.
    ``statuses`` counts what was answered, by the operation's label and the status; ``heard`` is
    told every answer, and may say what else is wrong with it.
    """

    extra_checks: Callable[[Case, Any], list[str]] | None = None

    def __init__(self, document: SchemaDocument, database: str, world: World, name: str) -> None:
        self.document = document
        self.settings = settings_for(database)
        document.stage.application = app.create(self.settings)
        self.person: Person | None = world.people.get(name)
        self.token = self.person.tokens.get(document.name, "") if self.person else ""
        self.world = world
        self.there = document.aims.path_values(world)
        self.at: dict[str, Mapping[str, list[Any]]] = {}
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.failures: dict[str, str] = {}
        self._sent: set[tuple[str, Any]] = set()

    def headers(self) -> dict[str, str]:
        """Return who it is."""
        scheme = self.document.contract.scheme
        return {"Authorization": f"{scheme} {self.token}"} if self.token else {}

    def run_case(self, case: Case, number: int) -> None:
        """Send one request and keep what is wrong with the answer, once for each kind."""
        self._use_existing_values(case, number)
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
                self._record_failure(
                    case, response, type(failure).__name__, f"{failure}\n{group.message}"
                )
        for fault in self.extra_checks(case, response) if self.extra_checks else ():
            self._record_failure(
                case, response, fault.partition(":")[0], f"{fault}\n{case.as_curl_command()}"
            )
        if self.person and (
            response.status_code == 401 or label in self.document.aims.single_use_operations
        ):
            self.token = asyncio.run(self._fresh_token())

    def _record_failure(self, case: Case, response: Any, what: str, text: str) -> None:
        kind = f"{case.operation.label}: {what} {response.status_code}"
        forgives = self.document.aims.is_allowed_deviation
        if forgives is None or not forgives(kind, text):
            self.failures.setdefault(kind, text)

    def _use_existing_values(self, case: Case, number: int) -> None:
        self.document.stage.address = f"10.0.{number // 250 % 250}.{number % 250}"
        if number % 5 == 0:
            return
        self._use_existing_user(case, number)
        body: Any = case.body
        if case.meta is None or case.meta.generation.mode.is_negative or not isinstance(body, dict):
            return
        aims = self.document.aims
        fixed = aims.body_overrides.get(case.operation.label, {})
        aimed = {key: value for key, value in fixed.items() if key in body}
        if case.method in {"POST", "PUT"}:
            sent = {(key, str(value)) for key, value in body.items() if key in aims.unique_fields}
            aimed |= {
                key: aims.unique_fields[key].format(number)
                for key, _ in sent & self._sent
                if key not in aimed
            }
            self._sent |= sent
        case.body = {**body, **aimed}  # a new one: requests may share what they are made of

    def _use_existing_user(self, case: Case, number: int) -> None:
        """Put in what somebody has, but where the very path is to be wrong."""
        if case.meta is not None and case.meta.is_negative_at(ParameterLocation.PATH):
            return
        there = {**self.there, **self.at.get(case.operation.label, {})}
        for name in case.path_parameters.keys() & there.keys():
            values = there[name]
            if case.method == "DELETE" and self.person:
                person = self.person
                own = {str(person.id), person.username, person.email}
                values = [
                    value
                    for value in values
                    if str(value) not in own and not str(value).endswith(person.public_id)
                ]
            case.path_parameters = {**case.path_parameters, name: values[number % len(values)]}

    async def _fresh_token(self) -> str:
        assert self.person is not None
        kind = self.document.contract.credential_format
        async with (
            app.open_directory(self.settings) as opened,
            opened.begin(system_actor("tests")) as tx,
        ):
            return (await tokens.issue(tx, opened, self.person.id, kind)).secret

    def raise_failures(self) -> None:
        """Fail if anything was wrong."""
        if self.failures:
            told = [f"## {kind}\n{text}" for kind, text in self.failures.items()]
            head = f"{len(told)} kinds of failures: {', '.join(self.failures)}"
            pytest.fail("\n\n".join([head, *told[:MAX_SHOWN]]), pytrace=False)


def schema_document(name: str) -> SchemaDocument:
    """Return a contract's document with its options: those in its folder of tests."""
    return importlib.import_module(f"tests.dialects.{name}.document").DOCUMENT
