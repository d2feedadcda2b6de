"""Everything that ``openapi.yaml`` allows and forbids, and what no document foresees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.wiwebb.document import DOCUMENT, SKIPPED_OPERATIONS
from tests.support.databases import DatabaseTemplates


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(
    database_templates: DatabaseTemplates, operation: Any
) -> None:
    """For every endpoint, asked by a superadmin."""
    with DOCUMENT.tester(database_templates, "sqlite", "root") as caller:
        DOCUMENT.run_all_cases(caller, operation)
    reached = {status for _, status in caller.statuses}
    assert operation.label in SKIPPED_OPERATIONS or reached & {200, 201, 204}, caller.statuses
    assert caller.statuses[operation.label, 401] <= 1, caller.statuses


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["ada", "olga", "mia", "nobody"])
def test_answers_to_others_are_too(database_templates: DatabaseTemplates, who: str) -> None:
    """Asked by an admin, an owner, a subscriber, and by who has no credential at all."""
    with DOCUMENT.tester(database_templates, "sqlite", who) as caller:
        DOCUMENT.run_sample(caller, every=9)
    if who == "nobody":
        done = {label for label, status in caller.statuses if status < 300}
        assert done <= {
            f"POST /api/v1/auth/{name}/"
            for name in ("registration", "registration/resend-email", "login", "password/reset")
        }


@pytest.mark.postgresql
@pytest.mark.parametrize("who", ["root", "olga"])
def test_answers_are_the_same_ones_on_postgresql(
    database_templates: DatabaseTemplates, who: str
) -> None:
    """Fewer of them: what differs is the store alone."""
    with DOCUMENT.tester(database_templates, "postgresql", who) as caller:
        DOCUMENT.run_sample(caller, every=11)
