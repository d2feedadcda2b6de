"""What becomes of the rows of an import."""

from __future__ import annotations

import pytest

from dragoman.actions.directory import Directory
from dragoman.rules.model import Role, User
from dragoman.store import users
from dragoman.store.user_lists import counters
from tests.actions.transfer.imports import begin, import_rows, judge, rows_of, shown, write
from tests.support.people import SYSTEM_ACTOR, make_user

pytestmark = pytest.mark.anyio


async def found(directory: Directory, name: str) -> User | None:
    return await users.find_by_login_name(directory.read(SYSTEM_ACTOR), name)


async def test_rows_become_people(directory: Directory) -> None:
    rows = rows_of(
        {"username": "ann", "email": "ann@example.com", "first_name": "Ann", "verified": True},
        {"email": "Bob@Example.com", "role": Role.OWNER, "active": False},
        {"username": "Çelik", "created_at": 5, "last_login_at": 7, "password_hash": "$2b$04$x"},
    )
    assert shown(await judge(directory, rows)) == ["created"] * 3
    assert shown(await import_rows(directory, rows)) == ["created"] * 3
    ann, bob, celik = [await found(directory, n) for n in ("ann", "bob@example.com", "çelik")]
    assert ann
    assert bob
    assert celik
    assert (ann.verified, ann.email_assigned, ann.signed_up, ann.display_name) == (
        True, True, False, "Ann",
    )  # fmt: skip
    assert ann.tenant_id == bob.tenant_id == await directory.home_tenant_id()
    assert (bob.username, bob.role, bob.active, bob.verified) == (
        "Bob@Example.com", Role.OWNER, False, False,
    )  # fmt: skip
    assert (celik.created_at, celik.last_login_at, celik.strong_password) == (5, 7, None)
    assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}


async def test_an_equal_row_is_unchanged_and_another_one_as_asked(directory: Directory) -> None:
    await import_rows(directory, rows_of({"username": "ann", "email": "ann@example.com"}))
    equal = rows_of({"username": "ann", "email": "ann@example.com"})
    other = rows_of({"username": "ANN", "email": "ann@example.com", "phone": "1"})
    for on_conflict in ("skip", "update", "fail"):
        assert shown(await judge(directory, equal, on_conflict=on_conflict)) == ["unchanged"]
    assert shown(await import_rows(directory, other)) == ["skipped"]
    assert shown(await import_rows(directory, other, on_conflict="fail")) == ["taken"]
    assert shown(await import_rows(directory, other, on_conflict="update")) == ["updated"]
    ann = await found(directory, "ann")
    assert ann is not None
    assert (ann.username, ann.phone) == ("ANN", "1")


async def test_a_row_that_matches_two_people_is_ambiguous(directory: Directory) -> None:
    home = await directory.home_tenant_id()
    await make_user(directory, "ann", tenant_id=home, email="a@example.com")
    await make_user(directory, "bob", tenant_id=home, email="b@example.com")
    rows = rows_of({"username": "ann", "email": "b@example.com"})
    assert shown(await judge(directory, rows)) == ["ambiguous"]
    assert shown(await judge(directory, rows, match="username", on_conflict="update")) == ["taken"]


async def test_a_resumed_import_knows_its_earlier_rows(directory: Directory) -> None:
    first, second, third = rows_of(
        {"username": "ann"}, {"username": "ann"}, {"username": "Ann", "phone": "1"}
    )
    run = await begin(directory)
    assert shown(await write(directory, run, [first])) == ["created"]
    resumed = await begin(directory)
    assert (resumed.id, resumed.record, resumed.line) == (run.id, 1, 1)
    assert resumed.tally.created == 1
    outcomes = await write(directory, resumed, [first, second, third])
    assert shown(outcomes) == ["created", "skipped", "duplicate"]
    assert "line 1" in outcomes[2].problems[0].message
