"""A round of hostile requests in a fresh world, each of them judged."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed

from dragoman import app, dialects
from dragoman.actions import tokens
from dragoman.actions.steps import jwt_keys, sign_in_log
from dragoman.actions.system import system_actor
from dragoman.jobs import background, mail_delivery
from dragoman.rules.errors import DirectoryError
from dragoman.settings import Rate
from dragoman.web import logs
from tests.fuzz.checks import (
    DatabaseFingerprint,
    answer_problems,
    authentication_problems,
    log_problems,
    refusal_changes,
    secrets_of_others,
)
from tests.fuzz.requests import (
    DRAWN_VALUES,
    Answer,
    DrawnValues,
    FuzzRequest,
    RequestGenerator,
    call_app,
    path_values,
)
from tests.support.databases import DatabaseTemplates, settings_for
from tests.support.openapi import operations
from tests.support.pending_invitations import SECRET_OPERATIONS, invite
from tests.support.running_app import lifespan
from tests.support.world import World

ROUND = 400
"""How many requests are drawn in one world: its tables stay small, and so do the checks."""
REPEAT_EVERY = 4
"""Each so-many-th request that takes a credential is sent without one, too."""
RANDOM = settings(
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def log_level(level: str) -> None:
    """Let the log tell everything from a level on; what spoke before would go on as it did."""
    logs.configure(level)
    for each in (logs.log, mail_delivery.log, jwt_keys.log, background.log, sign_in_log.log):
        each.__dict__.pop("bind", None)


class Tally(msgspec.Struct):
    """What came of it: how many requests, their statuses, and what was wrong, once a kind."""

    requests: int = 0
    statuses: Counter[tuple[str, int]] = msgspec.field(default_factory=Counter)
    failures: dict[str, str] = {}

    def record(self, asked: FuzzRequest, answer: Answer, problem: str) -> None:
        """Note a fault."""
        kind = f"{asked.operation.contract} {asked.operation.label}: {problem.partition(':')[0]}"
        example = f"{problem}\n  {asked}\n  {answer.status} {answer.body[:300]!r}"
        self.failures.setdefault(kind, example)

    def report(self) -> str:
        """Return everything that was wrong, empty where nothing was."""
        return "\n\n".join(f"{kind}\n{example}" for kind, example in self.failures.items())


class Round:
    """One application in one world."""

    def __init__(self, contract: str, database: str, world: World, tally: Tally) -> None:
        self.contract = contract
        self.settings = settings_for(
            database, user_rate=Rate(0, 1), log_level="debug", access_log=True
        )
        self.world = world
        self.tally = tally
        self.foreign = secrets_of_others(world)
        self.dialect_contract = dialects.load(contract).CONTRACT
        self.credentials = {
            name: person.tokens.get(contract, "") for name, person in world.people.items()
        }
        self.ledger = DatabaseFingerprint(database)
        self.said = io.StringIO()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._application: Any = None

    def __enter__(self) -> Round:
        self._application = app.create(self.settings)
        log_level(self.settings.log_level)
        self._runner.run(self._start())
        return self

    async def _start(self) -> None:
        await self._stack.enter_async_context(lifespan(self._application))

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()
        self.ledger.close()
        log_level("error")

    def credential(self, who: str) -> str:
        """Return what stands in somebody's Authorization header."""
        found = self.credentials.get(who, "")
        return f"{self.dialect_contract.scheme} {found}" if found else ""

    def check(self, asked: FuzzRequest) -> None:
        """Send a request, judge its answer; send it again without a credential, now and then."""
        answer = self._send(asked, self.credential(asked.who))
        if answer.status == 401 and asked.who in self.credentials:
            self._renew(asked.who)
        if asked.operation.needs_credential and self.tally.requests % REPEAT_EVERY == 0:
            nobody = msgspec.structs.replace(asked, who="nobody")
            self._send(nobody, "")

    def _send(self, asked: FuzzRequest, credential: str) -> Answer:
        number = self.tally.requests
        before = self.ledger.figures()
        with contextlib.redirect_stderr(self.said):
            address = f"10.{number // 62_500 % 250}.{number // 250 % 250}.{number % 250}"
            answer = self._runner.run(call_app(self._application, asked, credential, address))
        problems = [*answer_problems(asked, answer, self.foreign)]
        problems += refusal_changes(answer, before, self.ledger.figures())
        problems += log_problems(self.said.getvalue(), requests=1)
        if not credential:
            problems += authentication_problems(asked, answer)
        self.said.seek(0)
        self.said.truncate()
        self.tally.requests += 1
        self.tally.statuses[asked.operation.label, answer.status] += 1
        for problem in problems:
            self.tally.record(asked, answer, problem)
        return answer

    def _renew(self, who: str) -> None:
        """Give somebody a new credential whose old one has died, or who was switched off."""
        user_id = self.world.people[who].id
        self.ledger.reactivate(user_id)

        async def renew() -> str:
            async with (
                app.open_directory(self.settings) as opened,
                opened.begin(system_actor("tests")) as tx,
            ):
                return (
                    await tokens.issue(tx, opened, user_id, self.dialect_contract.credential_format)
                ).secret

        with contextlib.suppress(DirectoryError):
            self.credentials[who] = self._runner.run(renew())


def fuzz(
    database_templates: DatabaseTemplates,
    backend: str,
    contract: str,
    request_count: int,
    seed: int,
) -> Tally:
    """Send so many requests to a contract, in rounds; the same ones for the same start."""
    tally = Tally()
    choice = [each for each in operations(contract) for _ in range(1 if each.hashes else 4)]
    turn = 0
    while tally.requests < request_count and not tally.failures:
        begins = seed + 7919 * turn
        with database_templates.seeded(backend) as (database, world):
            there = {each.label: path_values(world, each) or ["1"] for each in choice}
            if contract == "vsay":
                there |= add_invitations(database)
            dice = RequestGenerator(begins, draw_values(begins), choice, there)
            end = min(tally.requests + ROUND, request_count)
            with Round(contract, database, world, tally) as at:
                while tally.requests < end:
                    at.check(dice.request())
        turn += 1
    return tally


def draw_values(seed: int) -> DrawnValues:
    """Let hypothesis draw the words of a round."""
    drawn: list[DrawnValues] = []

    @hypothesis_seed(seed)
    @settings(RANDOM, max_examples=2)
    @given(DRAWN_VALUES)
    def take(found: DrawnValues) -> None:
        drawn.append(found)

    take()
    return drawn[-1]


def add_invitations(database: str) -> dict[str, list[str]]:
    """Add invitations to a world, and return what their paths take, by label."""
    made = asyncio.run(invite(settings_for(database)))
    paths = {each.label: each for each in operations("vsay") if "{invitation}" in each.path}
    return {label: made.secrets if label in SECRET_OPERATIONS else made.ids for label in paths}


def summary(tally: Tally) -> str:
    """Return the figures of a tally in one line."""
    by_status: Counter[int] = Counter()
    for (_, status), times in tally.statuses.items():
        by_status[status] += times
    return json.dumps(
        {"requests": tally.requests, **{str(k): v for k, v in sorted(by_status.items())}}
    )
