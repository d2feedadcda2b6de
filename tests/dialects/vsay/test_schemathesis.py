"""Everything that ``openapi.yaml`` allows and forbids, and what no document foresees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.vsay.document import DOCUMENT, PUBLIC
from tests.support.databases import DatabaseTemplates


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(
    database_templates: DatabaseTemplates, operation: Any
) -> None:
    """For every endpoint, asked by an admin."""
    with DOCUMENT.tester(database_templates, "sqlite", "olga") as caller:
        DOCUMENT.run_all_cases(caller, operation)
    reached = {status for _, status in caller.statuses}
    assert reached & {200, 201}, caller.statuses
    if operation.label not in PUBLIC:
        assert caller.statuses[operation.label, 401] <= 1, caller.statuses


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["root", "mia", "vic", "nobody"])
def test_answers_to_others_are_too(database_templates: DatabaseTemplates, who: str) -> None:
    """Asked by a platform administrator, a member, a viewer, and by who has no credential."""
    with DOCUMENT.tester(database_templates, "sqlite", who) as caller:
        DOCUMENT.run_sample(caller, every=7)
    done = {label for label, status in caller.statuses if status < 300}
    reading = {"GET /users", "GET /users/{id}", "GET /auth/me", "POST /auth/logout"}
    if who == "nobody":
        assert done <= PUBLIC
    elif who != "root":
        assert done <= PUBLIC | reading


@pytest.mark.postgresql
@pytest.mark.parametrize("who", ["olga", "mia"])
def test_answers_are_the_same_ones_on_postgresql(
    database_templates: DatabaseTemplates, who: str
) -> None:
    """Fewer of them: what differs is the store alone."""
    with DOCUMENT.tester(database_templates, "postgresql", who) as caller:
        DOCUMENT.run_sample(caller, every=9)
