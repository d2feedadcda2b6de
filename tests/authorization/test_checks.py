"""The checks can fail: the program is broken on purpose, and the cells must say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from dragoman.rules import policy
from dragoman.rules.vocabulary import Reach
from dragoman.store import audit, users
from dragoman.store.user_lists import filters
from dragoman.web import resource
from tests.authorization.checks import check_cell
from tests.authorization.fixtures import SeededApp
from tests.authorization.table import Operation, cells_of, load
from tests.support.databases import DatabaseTemplates
from tests.support.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite]

Patch = pytest.MonkeyPatch
Sabotage = Callable[[Patch, SeededApp], None]


@pytest.fixture(scope="module")
def module_seeded_database(database_templates: DatabaseTemplates) -> Iterator[tuple[str, World]]:
    """One database is enough: what is tried here is the judge."""
    with database_templates.seeded("sqlite") as found:
        yield found


def nobody_is_refused(patch: Patch, _: SeededApp) -> None:
    patch.setattr(policy, "require", lambda *_: None)
    patch.setattr(policy, "require_reach", lambda *_: Reach.ANY)


def role_order_is_ignored(patch: Patch, _: SeededApp) -> None:
    patch.setattr(policy, "STRICTLY_LOWER_RANK", frozenset())
    plain = policy.require

    def require(actor: Any, action: Any, target: Any) -> None:
        try:
            plain(actor, action, target)
        except policy.Forbidden as error:
            if error.reason is not policy.Reason.RANK:
                raise

    patch.setattr(policy, "require", require)


def tenants_are_forgotten(patch: Patch, _: SeededApp) -> None:
    plain = filters.scope_for

    def scope_of(actor: Any, reach: Reach) -> Any:
        return plain(actor, Reach.ANY)

    patch.setattr(filters, "scope_for", scope_of)


def nothing_is_audited(patch: Patch, _: SeededApp) -> None:
    patch.setattr(resource, "_log_error", lambda *_: None)


def the_history_is_wrong(patch: Patch, _: SeededApp) -> None:
    plain = audit.write

    def write(tx: Any, action: str, **told: Any) -> Any:
        return plain(tx, action, **{**told, "target_id": 1, "fields": ("bio",)})

    patch.setattr(audit, "write", write)


def nothing_is_erased(patch: Patch, _: SeededApp) -> None:
    plain = users.remove

    async def remove(tx: Any, user: Any, *, erase: bool) -> Any:
        return await plain(tx, user, erase=False)

    patch.setattr(users, "remove", remove)


def credentials_live_on(patch: Patch, _: SeededApp) -> None:
    async def cut_off(*_: Any) -> None:
        return None

    patch.setattr(users, "revoke_sessions", cut_off)


def _change_every_request(statement: str) -> Sabotage:
    """Let every request change a row besides what it does."""

    def change(patch: Patch, seeded_app: SeededApp) -> None:
        plain = seeded_app.client.request

        async def request(*given: Any, **told: Any) -> Any:
            answer = await plain(*given, **told)
            await seeded_app.rows.execute([(statement, [])])
            seeded_app.mark = object()
            return answer

        patch.setattr(seeded_app.client, "request", request)

    return change


another_is_changed = _change_every_request("UPDATE users SET bio = 'x' WHERE username = 'gus'")
a_grant_is_left = _change_every_request("DELETE FROM grants")
a_count_is_off = _change_every_request("UPDATE counts SET n = n + 1")


@pytest.mark.parametrize(
    ("broken", "contract", "name", "said"),
    [
        (nobody_is_refused, "wiwebb", "Delete a user", "member on foreign-member: 204, not 403"),
        (
            nobody_is_refused,
            "binacle",
            "Make a user an Admin",
            "superadmin on foreign-member: 204, not 404",
        ),
        (role_order_is_ignored, "wiwebb", "Set a password", "admin on superadmin: 200, not 403"),
        (role_order_is_ignored, "wekan", "Make a token", "owner on owner: 200, not 403"),
        (tenants_are_forgotten, "vsay", "List users", "member: shows people ["),
        (tenants_are_forgotten, "wiwebb", "List users", "owner: shows people ["),
        (nothing_is_audited, "vsay", "Remove a user", "member on self: the log says []"),
        (the_history_is_wrong, "accounts", "Update a user", "the history says ["),
        (the_history_is_wrong, "accounts", "Delete a user", "the history names another target"),
        (nothing_is_erased, "wekan", "Delete a user", "personal fields are left"),
        (credentials_live_on, "wiwebb", "Deactivate a user", "its credentials live on"),
        (another_is_changed, "binacle", "Delete a user", "member on self: changed users"),
        (another_is_changed, "binacle", "Make a user Active", "of somebody else: users"),
        (a_grant_is_left, "accounts", "Retrieve a user", "is gone"),
        (a_count_is_off, "wekan", "Disable a user", "the counts are off by"),
    ],
)
async def test_what_is_broken_is_seen(
    seeded_app: SeededApp, broken: Sabotage, contract: str, name: str, said: str
) -> None:
    problems: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, seeded_app)
        for turn, cell in enumerate(cells_of(_operation(contract, name))):
            problems += await check_cell(seeded_app, cell, turn)
            if any(said in problem for problem in problems):
                return
    pytest.fail("\n".join(["it was not seen", *problems[:5]]))


async def test_an_expectation_that_is_wrong_is_seen_in_every_cell(seeded_app: SeededApp) -> None:
    operation = _operation("accounts", "Retrieve a user")
    wrong = msgspec.structs.replace(operation, rules="insiders on any 418")
    cells = [cell for cell in cells_of(wrong) if cell.expect.status == 418]
    problems = [problem for cell in cells for problem in await check_cell(seeded_app, cell, 0)]
    assert len([problem for problem in problems if "not 418" in problem]) == len(cells)


async def test_a_cell_leaves_everything_as_it_was(seeded_app: SeededApp) -> None:
    for contract, name in (("wiwebb", "Delete a user"), ("vsay", "Take a user's access away")):
        for turn, cell in enumerate(cells_of(_operation(contract, name))):
            await check_cell(seeded_app, cell, turn)
    assert await seeded_app.rows.dump() == seeded_app.initial_dump


def _operation(contract: str, name: str) -> Operation:
    return next(each for each in load(contract) if each.name == name)
