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

from tests.dialects.accounts.test_schemathesis import DOCUMENT as ACCOUNTS
from tests.dialects.binacle.test_schemathesis import DOCUMENT as BINACLE
from tests.dialects.vsay.test_schemathesis import DOCUMENT as VSAY
from tests.dialects.wekan.test_schemathesis import DOCUMENT as WEKAN
from tests.dialects.wiwebb.test_schemathesis import DOCUMENT as WIWEBB
from tests.fuzz.asking import Operation, operations
from tests.fuzz.judging import Ledger, secrets_of_others
from tests.fuzz.test_fuzz import OURS
from tests.support.databases import BACKENDS, Shelf
from tests.support.schema_checks import Caller, Document

DOCUMENTS = (ACCOUNTS, BINACLE, VSAY, WEKAN, WIWEBB)
WHO = ("olga", "mia")
AT_ONCE = 40
"""How many requests are drawn for an operation in one world."""
AGAIN = 5


class Ear:
    """Hears every answer to somebody of acme, and says what is wrong with it."""

    def __init__(self, caller: Caller, ledger: Ledger) -> None:
        self._caller = caller
        self._ledger = ledger
        self._foreign = secrets_of_others(caller.world)
        self._operations: dict[str, Operation] = {
            each.label: each for each in operations(caller.document.name)
        }
        self._standing: dict[str, Any] | None = None
        self.requests = 0

    def hear(self, case: Case, response: Any) -> list[str]:
        """Return the faults of an answer, and of that to the same request of a stranger.

        After an answer that costs the caller its credential, it gets a new one, which is written
        down: what stood before is not known then.
        """
        self.requests += 1
        told: list[str] = []
        before, self._standing = self._standing, self._ledger.standing()
        if response.status_code >= 400 and before and before != self._standing:
            told.append(f"Changed: {before} {self._standing}")
        sent = f"{case.path_parameters} {case.query} {case.body!r}"
        shown = [word for word in self._foreign if word in response.text and word not in sent]
        if shown:
            told.append(f"Shown: {shown}")
        private = self._operations[case.operation.label].private
        documented = case.method == case.operation.method.upper()
        if private and documented and self.requests % AGAIN == 0:
            told += self._stranger(case)
        label = case.operation.label
        if response.status_code == 401 or label in self._caller.document.aims.spends:
            self._standing = None
        return told

    def _stranger(self, case: Case) -> list[str]:
        answer = case.call(headers={})
        self.requests += 1
        before, self._standing = self._standing, self._ledger.standing()
        if answer.status_code not in {401, 405} or before != self._standing:
            return [f"LetIn: {answer.status_code}"]
        return []


def cases(document: Document, number: int, start: int) -> Iterator[list[Case]]:
    """Yield requests in turns over all operations and both modes, at least so many in all."""
    made, turn = 0, 0
    each = max(1, min(AT_ONCE, number // (2 * len(document.operations)) + 1))
    while made < number:
        for operation in document.operations:
            wrong = operation.body or operation.query  # any text may be an id
            for mode in GenerationMode:
                if made < number and (mode.is_positive or wrong):
                    with suppress(Unsatisfiable):
                        found = document.at_random(operation, mode, each, start=start + turn)
                        made += len(found)
                        yield found
        turn += 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_answers_are_those_of_the_document(
    shelf: Shelf, backend: str, document: Document, number: int, start: int
) -> None:
    """Asked by an owner and by a member in turns of so many requests, each in a fresh world."""
    most = round(number * (1 - OURS) / len(DOCUMENTS) / len(BACKENDS))
    drawn = cases(document, most, start)
    sent, turn, began = 0, 0, time.monotonic()
    while batch := [case for _, found in zip(range(12), drawn, strict=False) for case in found]:
        with document.calling(shelf, backend, WHO[turn % len(WHO)]) as caller:
            database = caller.settings.database
            ledger = Ledger(database)
            try:
                ear = Ear(caller, ledger)
                caller.heard = ear.hear
                for at, case in enumerate(batch):
                    caller.try_out(case, at)
            finally:
                ledger.close()
        sent += ear.requests
        turn += 1
    took = time.monotonic() - began
    print(f"{document.name} on {backend}, seed {start}: {sent} requests in {took:.0f} s")
    assert sent >= most
