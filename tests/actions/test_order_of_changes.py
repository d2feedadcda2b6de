"""Eight changes of one thing at once: what is left is what some order of them would leave.

The history gives that order: each change has a request id of its own, and replaying the changes
by the ids of their rows must end where the database is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from dragoman.actions import sign_in, users
from dragoman.actions.directory import Directory
from dragoman.rules import passwords
from dragoman.rules.actor import Actor
from dragoman.rules.errors import DirectoryError, Invalid, Unauthenticated, Unchanged
from dragoman.rules.model import Role, User, UserChanges
from dragoman.rules.passwords import PasswordRules
from dragoman.store import users as rows
from tests.support.databases import query
from tests.support.people import PASSWORD, SYSTEM_ACTOR, actor_for, make_user, transaction

pytestmark = pytest.mark.anyio

EIGHT = range(8)
RULES = PasswordRules()
ROLES = (Role.VIEWER, Role.OWNER, Role.MEMBER, Role.OWNER) * 2
Change = Callable[[int, Actor], Awaitable[object]]


def numbered(number: int, actor: Actor = SYSTEM_ACTOR) -> Actor:
    return msgspec.structs.replace(actor, request_id=f"n{number}")


async def outcome(work: Awaitable[object]) -> str:
    try:
        await work
    except Invalid as error:
        return " ".join(problem.code for problem in error.problems)
    except DirectoryError as error:
        return type(error).__name__
    return "done"


async def at_once(change: Change, actors: list[Actor] | None = None) -> list[str]:
    chosen = actors or [SYSTEM_ACTOR] * len(EIGHT)
    return await asyncio.gather(
        *(outcome(change(number, numbered(number, chosen[number]))) for number in EIGHT)
    )


async def order(database: str, action: str) -> list[int]:
    """Return the numbers of the changes that were made, in the order of the history."""
    found = await query(
        database,
        f"SELECT request_id FROM audit WHERE action = '{action}' AND request_id <> '' ORDER BY id",
    )
    return [int(request_id[1:]) for (request_id,) in found]


async def reload(directory: Directory, user: User) -> User:
    found = await rows.find(directory.read(SYSTEM_ACTOR), user.id)
    assert found is not None
    return found


async def has_password(directory: Directory, user: User, password: str) -> bool:
    encoded = await rows.password_hash(directory.read(SYSTEM_ACTOR), user.id)
    return passwords.verify_password(password, encoded)


async def test_eight_set_one_password(directory: Directory, database: str, mia: User):
    before = (await reload(directory, mia)).auth_epoch

    async def change(number: int, actor: Actor) -> None:
        await users.set_password(directory, actor, mia.id, f"{PASSWORD}-{number}", RULES)

    assert await at_once(change) == ["done"] * 8
    made = await order(database, "users.set_password")
    assert sorted(made) == list(EIGHT)
    assert await has_password(directory, mia, f"{PASSWORD}-{made[-1]}")
    assert (await reload(directory, mia)).auth_epoch == before + 8


async def test_eight_set_the_same_password(directory: Directory, database: str, mia: User):
    """Where a contract refuses the password that somebody has, one of eight sets it."""

    async def change(_: int, actor: Actor) -> None:
        await users.set_password(
            directory, actor, mia.id, "the-same-Kettle-42", RULES, reject_unchanged=True
        )

    found = await at_once(change)
    assert sorted(found) == [Unchanged.__name__] * 7 + ["done"], found
    assert await order(database, "users.set_password") == [found.index("done")]


async def test_eight_sessions_change_their_password(directory: Directory, database: str, mia: User):
    actors = [await actor_for(directory, mia.id) for _ in EIGHT]

    async def change(number: int, actor: Actor) -> None:
        await sign_in.change_password(directory, actor, PASSWORD, f"{PASSWORD}-{number}", RULES)

    found = await at_once(change, actors)
    assert found.count("done") == 1, found
    assert set(found) <= {"done", "wrong", Unauthenticated.__name__}
    assert await order(database, "users.change_password") == [found.index("done")]
    assert await has_password(directory, mia, f"{PASSWORD}-{found.index('done')}")


async def test_eight_assign_a_role(directory: Directory, database: str, mia: User):
    async def change(number: int, actor: Actor) -> None:
        async with transaction(directory, actor) as tx:
            await users.assign_role(tx, mia.id, ROLES[number])

    before = await reload(directory, mia)
    assert await at_once(change) == ["done"] * 8
    made = await order(database, "users.assign_role")
    role = before.role
    for number in made:
        assert ROLES[number] is not role, "a role that was there already is no event"
        role = ROLES[number]
    after = await reload(directory, mia)
    assert after.role is role
    assert after.auth_epoch == before.auth_epoch + len(made)


async def test_eight_change_an_address(directory: Directory, database: str, mia: User):
    async def change(number: int, actor: Actor) -> None:
        async with transaction(directory, actor) as tx:
            await users.update(tx, mia.id, UserChanges(email=f"mia{number}@example.com"))

    assert await at_once(change) == ["done"] * 8
    made = await order(database, "users.update")
    assert sorted(made) == list(EIGHT)
    email = f"mia{made[-1]}@example.com"
    assert (await reload(directory, mia)).email == email
    names = await query(database, f"SELECT key FROM names WHERE user_id = {mia.id} ORDER BY key")
    assert names == [("mia",), (email,)]


async def test_eight_want_one_address(directory: Directory, database: str, mia: User):
    people = [
        await make_user(directory, f"one{number}", tenant_id=mia.tenant_id) for number in EIGHT
    ]

    async def change(number: int, actor: Actor) -> None:
        async with transaction(directory, actor) as tx:
            await users.update(tx, people[number].id, UserChanges(email="wanted@example.com"))

    found = await at_once(change)
    assert sorted(found) == ["done"] + ["taken"] * 7, found
    assert await order(database, "users.update") == [found.index("done")]
    holders = await query(database, "SELECT id FROM users WHERE email = 'wanted@example.com'")
    assert holders == [(people[found.index("done")].id,)]
