"""Everything that ``openapi.yaml`` allows and forbids, and what no document foresees."""

from __future__ import annotations

from typing import Any

import pytest
from schemathesis import GenerationMode

from tests.dialects.wekan.document import DOCUMENT
from tests.support.databases import DatabaseTemplates


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(
    database_templates: DatabaseTemplates, operation: Any
) -> None:
    """For every endpoint, asked by an owner."""
    with DOCUMENT.tester(database_templates, "sqlite", "olga") as caller:
        if operation.body:
            DOCUMENT.run_all_cases(caller, operation)
        else:  # any text may be an id, so nothing can be wrong with the request
            for number, case in enumerate(DOCUMENT.boundary_cases(operation)):
                caller.run_case(case, number)
            for number, case in enumerate(
                DOCUMENT.random_cases(operation, GenerationMode.POSITIVE, 9)
            ):
                caller.run_case(case, number)
    assert caller.statuses[operation.label, 200], caller.statuses
    if operation.label != "POST /users/login":
        assert caller.statuses[operation.label, 401] <= 1, caller.statuses


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["root", "mia", "vic", "nobody"])
def test_answers_to_others_are_too(database_templates: DatabaseTemplates, who: str) -> None:
    """Asked by a platform administrator, a member, a viewer, and by who has no credential."""
    with DOCUMENT.tester(database_templates, "sqlite", who) as caller:
        DOCUMENT.run_sample(caller, every=7)
    done = {label for label, status in caller.statuses if status < 300}
    everybody = {"POST /users/register", "POST /users/login"}
    signed_in = everybody | {
        "POST /users/logout",
        "GET /api/user",
        "GET /api/boards",
        "GET /api/users/{id}/boards",
    }
    if who != "root":
        assert done <= (everybody if who == "nobody" else signed_in)


@pytest.mark.postgresql
@pytest.mark.parametrize("who", ["olga", "mia"])
def test_answers_are_the_same_ones_on_postgresql(
    database_templates: DatabaseTemplates, who: str
) -> None:
    """Fewer of them: what differs is the store alone."""
    with DOCUMENT.tester(database_templates, "postgresql", who) as caller:
        DOCUMENT.run_sample(caller, every=9)
