"""The table is whole: every operation of every contract, every actor, every target, no idle rule."""

from __future__ import annotations

import re

import msgspec
import pytest

from tests.authorization.mass_assignment import WRITES
from tests.authorization.table import (
    CONTRACTS,
    EQUIVALENT_TARGETS,
    GROUPS,
    STRANGERS,
    TARGETS,
    Operation,
    TableError,
    cells_of,
    load,
    targets_of,
)
from tests.support.openapi import routed

METHODS = {"get", "put", "post", "delete", "patch"}
OPEN = {
    ("wiwebb", "POST", "/api/v1/auth/registration/verify-email"),
    ("wiwebb", "POST", "/api/v1/auth/registration/resend-email"),
    ("wiwebb", "POST", "/api/v1/auth/password/reset"),
    ("wiwebb", "POST", "/api/v1/auth/password/reset/confirm"),
    ("vsay", "POST", "/auth/refresh"),
}
"""Calls that know no actor, only an address, or a secret that was mailed or given: transcripts,
`test_password_resets.py` and `test_account_pages.py` have them."""
LEAST = 3000


def operations(name: str) -> set[tuple[str, str, str]]:
    """Return the calls of a contract: its routes, which equal its document."""
    return {
        (name, method.upper(), _shape(path))
        for path, methods in routed(name).items()
        for method in methods & METHODS
    }


def _shape(path: str) -> str:
    plain = path.partition("?")[0].removeprefix("/v1").rstrip("/")
    return re.sub(r"/(usr_|inv_)?\{[^}]*\}", "/{}", plain)


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_call_of_a_contract_is_in_the_table(name: str) -> None:
    tried = {(name, each.method, _shape(each.path)) for each in load(name)}
    missing = {call for call in operations(name) - OPEN if call not in tried}
    assert not missing
    assert {call for call in tried if call not in operations(name)} <= {
        ("binacle", "DELETE", "/api/users/no-address")
    }


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_call_that_writes_is_tried_with_privileged_names(name: str) -> None:
    ending = re.compile(r"/(logout|signin|login|token)$")
    writing = {call for call in operations(name) - OPEN if call[1] in {"POST", "PUT", "PATCH"}}
    tried = {
        (each.contract, each.request.split()[0], _shape(each.request.split()[1])) for each in WRITES
    }
    left = {call for call in writing - tried if not ending.search(call[2])}
    assert left <= {
        ("wiwebb", "PUT", "/api/v1/tenants/{}"),  # the same form as its PATCH
        ("vsay", "POST", "/users/invitations/{}/resend"),  # reads no body
    }


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_cell_has_one_expectation_and_every_rule_decides_one(name: str) -> None:
    names = [each.name for each in load(name)]
    assert len(names) == len(set(names))
    for operation in load(name):
        whole = {(cell.actor, cell.target): cell.expect for cell in cells_of(operation)}
        assert len(whole) == len(cells_of(operation))
        lines = [line for line in operation.rules.split("\n") if line.strip()]
        for line in lines:
            rest = "\n".join(each for each in lines if each is not line)
            try:
                without = cells_of(msgspec.structs.replace(operation, rules=rest))
            except TableError:
                continue  # that cell is left open now
            changed = {(c.actor, c.target): c.expect for c in without} != whole
            assert changed, f"{operation.name}: nothing comes of {line.strip()!r}"


def test_there_are_as_many_cells_as_promised() -> None:
    cells = [cell for name in CONTRACTS for each in load(name) for cell in cells_of(each)]
    assert len(cells) >= LEAST
    assert {cell.actor for cell in cells} == set(GROUPS["everybody"])
    assert {cell.target for cell in cells} >= {t for each in TARGETS.values() for t in each}


def test_a_stranger_meets_every_kind_of_target() -> None:
    (operation,) = [each for each in load(CONTRACTS[0]) if each.name == "Delete a user"]
    for actor in STRANGERS:
        met = {cell.target for cell in cells_of(operation) if cell.actor == actor}
        assert met >= set(targets_of(operation)) - EQUIVALENT_TARGETS - {"self"}
        assert {cell.expect.status for cell in cells_of(operation) if cell.actor == actor} == {401}


PLAIN = Operation(
    name="Look", request="GET /x/{id}", rules="insiders on any 200 target", contract="x"
)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("owner on any 200 target", "left open"),
        ("insiders on any 200", "who is shown"),
        ("insiders on any 200 =", "= after 200"),
        ("insiders on any 404 target", "target after 404"),
        ("insiders on somebody 404", "there is no target somebody"),
        ("outsiders on any 404", "outsiders on any 404"),
        ("insiders on any", "insiders on any"),
        ("insiders on any 200 target self", "insiders on any 200 target self"),
    ],
)
def test_a_table_that_says_nothing_clear_is_refused(rules: str, said: str) -> None:
    assert cells_of(PLAIN)
    with pytest.raises(TableError, match=re.escape(said)):
        cells_of(msgspec.structs.replace(PLAIN, rules=rules))
