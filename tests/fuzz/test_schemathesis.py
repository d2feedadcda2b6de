"""Requests that schemathesis makes of every contract's document, other ones than the dialects' own.

Besides what they ask of an answer, it must hold what ``judging.py`` says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode

from dragoman import dialects
from tests.fuzz.checks import DatabaseFingerprint, secrets_of_others
from tests.fuzz.test_fuzz import OURS
from tests.support.databases import BACKENDS, DatabaseTemplates
from tests.support.openapi import Operation, operations
from tests.support.schema_checks import SchemaDocument, SchemaTester, schema_document

DOCUMENTS = tuple(schema_document(name) for name in dialects.NAMES)
WHO = ("olga", "mia")
AT_ONCE = 40
"""How many requests are drawn for an operation in one world."""
REPEAT_EVERY = 5


class AnswerChecker:
    """Hears every answer to somebody of acme, and says what is wrong with it."""

    def __init__(self, caller: SchemaTester, ledger: DatabaseFingerprint) -> None:
        self._caller = caller
        self._ledger = ledger
        self._foreign = secrets_of_others(caller.world)
        self._operations: dict[str, Operation] = {
            each.label: each for each in operations(caller.document.name)
        }
        self._figures: dict[str, Any] | None = None
        self.requests = 0

    def check(self, case: Case, response: Any) -> list[str]:
        """Return the faults of an answer, and of that to the same request of a stranger.

        After an answer that costs the caller its credential, it gets a new one, which is written
        down: what stood before is not known then.
        """
        self.requests += 1
        problems: list[str] = []
        before, self._figures = self._figures, self._ledger.figures()
        if response.status_code >= 400 and before and before != self._figures:
            problems.append(f"Changed: {before} {self._figures}")
        sent = f"{case.path_parameters} {case.query} {case.body!r}"
        shown = [word for word in self._foreign if word in response.text and word not in sent]
        if shown:
            problems.append(f"Shown: {shown}")
        private = self._operations[case.operation.label].needs_credential
        documented = case.method == case.operation.method.upper()
        if private and documented and self.requests % REPEAT_EVERY == 0:
            problems += self._anonymous_problems(case)
        label = case.operation.label
        if response.status_code == 401 or label in self._caller.document.aims.single_use_operations:
            self._figures = None
        return problems

    def _anonymous_problems(self, case: Case) -> list[str]:
        answer = case.call(headers={})
        self.requests += 1
        before, self._figures = self._figures, self._ledger.figures()
        if answer.status_code not in {401, 405} or before != self._figures:
            return [f"LetIn: {answer.status_code}"]
        return []


def cases(document: SchemaDocument, request_count: int, seed: int) -> Iterator[list[Case]]:
    """Yield requests in turns over all operations and both modes, at least so many in all."""
    made, turn = 0, 0
    each = max(1, min(AT_ONCE, request_count // (2 * len(document.operations)) + 1))
    while made < request_count:
        for operation in document.operations:
            wrong = operation.body or operation.query  # any text may be an id
            for mode in GenerationMode:
                if made < request_count and (mode.is_positive or wrong):
                    with suppress(Unsatisfiable):
                        found = document.random_cases(operation, mode, each, start=seed + turn)
                        made += len(found)
                        yield found
        turn += 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_answers_are_those_of_the_document(
    database_templates: DatabaseTemplates,
    backend: str,
    document: SchemaDocument,
    request_count: int,
    seed: int,
) -> None:
    """Asked by an owner and by a member in turns of so many requests, each in a fresh world."""
    most = round(request_count * (1 - OURS) / len(DOCUMENTS) / len(BACKENDS))
    drawn = cases(document, most, seed)
    sent, turn, began = 0, 0, time.monotonic()
    while batch := [case for _, found in zip(range(12), drawn, strict=False) for case in found]:
        with document.tester(database_templates, backend, WHO[turn % len(WHO)]) as caller:
            database = caller.settings.database
            ledger = DatabaseFingerprint(database)
            try:
                ear = AnswerChecker(caller, ledger)
                caller.extra_checks = ear.check
                for at, case in enumerate(batch):
                    caller.run_case(case, at)
            finally:
                ledger.close()
        sent += ear.requests
        turn += 1
    took = time.monotonic() - began
    print(f"{document.name} on {backend}, seed {seed}: {sent} requests in {took:.0f} s")
    assert sent >= most
