"""Everything that ``openapi.yaml`` allows and forbids, and what no document foresees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.binacle.document import DOCUMENT
from tests.support.databases import DatabaseTemplates


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(
    database_templates: DatabaseTemplates, operation: Any
) -> None:
    """For every endpoint, asked by an owner."""
    with DOCUMENT.tester(database_templates, "sqlite", "olga") as caller:
        DOCUMENT.run_all_cases(caller, operation)
    assert {status for _, status in caller.statuses} & {200, 201, 204}, caller.statuses
    if operation.label != "POST /api/auth/token":
        assert caller.statuses[operation.label, 401] <= 1, caller.statuses


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["root", "gil", "mia", "nobody"])
def test_answers_to_others_are_too(database_templates: DatabaseTemplates, who: str) -> None:
    """Asked by a superadmin, another tenant's owner, a member, and who has no token at all."""
    with DOCUMENT.tester(database_templates, "sqlite", who) as caller:
        DOCUMENT.run_sample(caller, every=5)
    if who in {"mia", "nobody"}:
        done = {label for label, status in caller.statuses if status < 300}
        assert done <= {"POST /api/auth/token"}


@pytest.mark.postgresql
def test_answers_are_the_same_ones_on_postgresql(database_templates: DatabaseTemplates) -> None:
    """Fewer of them: what differs is the store alone."""
    with DOCUMENT.tester(database_templates, "postgresql", "olga") as caller:
        DOCUMENT.run_sample(caller, every=7)
