"""Whom the rows of an import match: each rule on its own, and all of them against a model."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.rules.model import Role, User
from dragoman.store import tenants
from dragoman.store import users as user_store
from tests.actions.transfer.imports import begin, import_rows, judge, rows_of, shown, write
from tests.support.people import (
    SYSTEM_ACTOR,
    UserRow,
    actor_for,
    insert_users,
    make_tenant,
    make_user,
    transaction,
)

pytestmark = pytest.mark.anyio


async def find(directory: Directory, name: str) -> User:
    found = await user_store.find_by_login_name(directory.read(SYSTEM_ACTOR), name)
    assert found is not None, name
    return found


async def test_ids_come_along_if_they_were_never_anybodys(directory: Directory) -> None:
    public_id = "abcdefghijkmnopqr"
    [ann] = await import_rows(directory, rows_of({"username": "ann", "id": 500}))
    assert ann.user_id == 500
    async with transaction(directory) as tx:
        await users.delete(tx, 500, erase=True)
    rows = rows_of(
        {"username": "bob", "id": 500},
        {"username": "cem", "public_id": public_id},
        {"username": "dan"},
    )
    outcomes = await import_rows(directory, rows)
    assert shown(outcomes) == ["taken", "created", "created"]
    assert outcomes[2].user_id > 500, "ids are never given out twice"
    home = await directory.home_tenant_id()
    assert (await make_user(directory, "eve", tenant_id=home)).id > 500
    names = rows_of({"username": public_id}, {"username": "fay", "public_id": public_id})
    assert shown(await judge(directory, names)) == ["taken", "taken"]
    assert shown(await judge(directory, names[1:])) == ["taken"]


async def test_names_of_the_deleted_are_free(directory: Directory) -> None:
    home = await directory.home_tenant_id()
    ann = await make_user(directory, "ann", tenant_id=home, email="ann@example.com")
    async with transaction(directory) as tx:
        await users.delete(tx, ann.id, erase=False)
    rows = rows_of({"username": "ann", "email": "ann@example.com"})
    assert shown(await import_rows(directory, rows)) == ["created"]


async def test_a_username_may_be_somebodys_address(directory: Directory) -> None:
    home = await directory.home_tenant_id()
    await make_user(directory, "ann", tenant_id=home, email="ann@example.com")
    rows = rows_of({"username": "Ann@example.com"}, {"email": "Ann@example.com"})
    assert shown(await judge(directory, rows[:1])) == ["taken"]
    assert shown(await judge(directory, rows[1:], on_conflict="fail")) == ["taken"]
    assert shown(await judge(directory, rows[1:])) == ["skipped"]


async def test_what_is_only_claimed_gives_way(directory: Directory) -> None:
    home = await directory.home_tenant_id()
    claim = UserRow(username="eve", email="ann@example.com", tenant_id=home, signed_up=True)
    async with transaction(directory) as tx:
        [claimant] = await insert_users(tx, [claim])
        user = await user_store.get(tx, claimant)
        await user_store.save(tx, user, {"email_assigned": False})
    rows = rows_of({"username": "ann", "email": "ann@example.com"})
    assert shown(await import_rows(directory, rows)) == ["created"]
    assert (await find(directory, "ann@example.com")).username == "ann"
    assert (await find(directory, "eve")).email == ""


async def test_tenants_are_found_by_slug_and_created_if_asked(directory: Directory) -> None:
    rows = rows_of({"username": "ann", "tenant": "acme", "role": Role.OWNER})
    assert shown(await judge(directory, rows)) == ["unknown_tenant"]
    assert shown(await judge(directory, rows, create_tenants=True)) == ["created"]
    assert await tenants.find_by_slug(directory.read(SYSTEM_ACTOR), "acme") is None
    assert shown(await import_rows(directory, rows, create_tenants=True)) == ["created"]
    acme = await tenants.find_by_slug(directory.read(SYSTEM_ACTOR), "acme")
    assert acme is not None
    assert (await find(directory, "ann")).tenant_id == acme.id
    async with transaction(directory) as tx:
        assert not await tenants.mark_owned(tx, acme.id), "it is marked already"
    bad = rows_of({"username": "bob", "tenant": "no slug!"})
    assert shown(await judge(directory, bad, create_tenants=True)) == ["unknown_tenant"]


async def test_roles_obey_the_caller(directory: Directory) -> None:
    rows = rows_of({"username": "ann", "role": Role.ADMIN}, {"username": "bob", "role": Role.OWNER})
    assert shown(await judge(directory, rows)) == ["forbidden_role", "created"]
    assert shown(await import_rows(directory, rows, allow_platform_roles=True)) == ["created"] * 2
    assert (await find(directory, "ann")).tenant_id is None


async def test_owners_import_into_their_own_tenant(directory: Directory) -> None:
    acme, globex = await make_tenant(directory, "acme"), await make_tenant(directory, "globex")
    olga = await make_user(directory, "olga", Role.OWNER, tenant_id=acme, email="olga@acme.test")
    await make_user(directory, "gus", tenant_id=globex, email="gus@globex.test")
    actor = await actor_for(directory, olga.id)
    rows = rows_of(
        {"username": "ann", "role": Role.VIEWER},
        {"username": "bob", "tenant": "globex"},
        {"username": "cem", "tenant": "nowhere"},
        {"username": "dan", "role": Role.ADMIN},
        {"username": "gus", "phone": "1"},
    )
    options: dict[str, Any] = {
        "actor": actor, "allow_platform_roles": True, "on_conflict": "update",
    }  # fmt: skip
    expected = ["created", "unknown_tenant", "unknown_tenant", "forbidden_role", "taken"]
    assert shown(await judge(directory, rows, **options)) == expected
    assert shown(await import_rows(directory, rows, **options)) == expected
    assert (await find(directory, "ann")).tenant_id == acme
    assert (await find(directory, "gus")).phone == ""


async def test_an_update_changes_what_an_administrator_may(directory: Directory) -> None:
    acme = await make_tenant(directory, "acme")
    ann = await make_user(directory, "ann", Role.OWNER, tenant_id=acme, email="ann@acme.test")
    olga = await make_user(directory, "olga", Role.OWNER, tenant_id=acme, email="olga@acme.test")
    actor = await actor_for(directory, olga.id)
    rows = rows_of({"username": "ann", "role": Role.MEMBER, "active": False})
    outcomes = await import_rows(directory, rows, actor=actor, on_conflict="update")
    assert shown(outcomes) == ["updated"]
    changed = await find(directory, "ann")
    assert (changed.role, changed.active) == (Role.MEMBER, False)
    assert changed.auth_epoch > ann.auth_epoch
    rows = rows_of({"username": "olga", "role": Role.MEMBER}, {"username": "cem"})
    outcomes = await import_rows(directory, rows, on_conflict="update", actor=actor, digest="2")
    assert shown(outcomes) == ["forbidden_role", "created"], "nobody changes the own role"


async def test_a_hash_replaces_what_nobody_has_used_here(directory: Directory) -> None:
    rows = rows_of({"username": "ann", "password_hash": "$2b$04$a", "last_login_at": 5})
    [created] = await import_rows(directory, rows)
    read = directory.read(SYSTEM_ACTOR)
    update = rows_of({"username": "ann", "password_hash": "$2b$04$b"})
    assert shown(await import_rows(directory, update, on_conflict="update")) == ["updated"]
    assert await user_store.password_hash(read, created.user_id) == "$2b$04$b"
    async with transaction(directory) as tx:
        user_store.record_sign_in(tx, created.user_id)
    other = rows_of({"username": "ann", "password_hash": "$2b$04$c"})
    assert shown(await import_rows(directory, other, on_conflict="update")) == ["unchanged"]
    outcomes = await import_rows(directory, other, on_conflict="update", replace_passwords=True)
    assert shown(outcomes) == ["updated"]
    assert await user_store.password_hash(read, created.user_id) == "$2b$04$c"


# --------------------------------------------------------------------------- the model

_EXAMPLES = count(1)
OPTIONS = st.fixed_dictionaries(
    {
        "match": st.sampled_from(["", "username", "email", "id"]),
        "on_conflict": st.sampled_from(["skip", "update", "fail"]),
    }
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "username": st.sampled_from(["a", "A", "b", "a@x"]),
        "email": st.sampled_from(["a@x", "A@x", "b@x", ""]),
        "id": st.sampled_from([7, 100_000]),  # new ids follow the highest one
        "phone": st.sampled_from(["", "1"]),
    },
)
IMPORTS = st.lists(
    st.tuples(OPTIONS, st.lists(FIELDS, min_size=1, max_size=5)), min_size=1, max_size=3
)
Fields = dict[str, Any]


class Model:
    """The people as plain dictionaries, and what the rules of an import make of rows."""

    def __init__(self) -> None:
        self.people: list[Fields] = []

    def run(self, options: dict[str, str], rows: list[Fields]) -> list[str]:
        """Import rows, one after the other, and return what becomes of each."""
        touched: dict[int, Fields] = {}
        return [self._run(options, row, touched) for row in rows]

    def _run(self, options: dict[str, str], row: Fields, touched: dict[int, Fields]) -> str:
        email = row.get("email", "")
        username = row.get("username") or email
        if not username:
            return "blank"
        keys = {username.lower(), email.lower()} - {""}
        sharing = [p for p in self.people if self._names(p) & keys or p["id"] == row.get("id")]
        if earlier := [touched[p["id"]] for p in sharing if p["id"] in touched]:
            return "skipped" if all(row == each for each in earlier) else "duplicate"
        fields = [options["match"]] if options["match"] else ["username", "email"]
        matched = [p for p in sharing if any(self._matches(p, row, f) for f in fields)]
        if len(matched) > 1:
            return "ambiguous"
        if not matched:
            if sharing:
                return "taken"
            self.people.append({"phone": "", "email": "", **row, "username": username})
            self.people[-1].setdefault("id", -len(self.people))
            touched[self.people[-1]["id"]] = row
            return "created"
        return self._meet(options["on_conflict"], row, matched[0], touched)

    def _meet(
        self, on_conflict: str, row: Fields, person: Fields, touched: dict[int, Fields]
    ) -> str:
        changed = {k: v for k, v in row.items() if k != "id" and v != person[k]}
        if on_conflict == "fail" and changed:
            return "taken"
        if on_conflict == "update" and changed:
            others = [p for p in self.people if p is not person]
            names = {row.get("username", "").lower(), row.get("email", "").lower()} - {""}
            has_other_id = row.get("id", person["id"]) != person["id"]
            if has_other_id or any(self._names(p) & names for p in others):
                return "taken"
            is_named_by_email = person["username"].lower() == person["email"].lower()
            if changed.get("email") and is_named_by_email and "username" not in changed:
                changed["username"] = changed["email"]
            person |= changed
        touched[person["id"]] = row
        if not changed:
            return "unchanged"
        return "updated" if on_conflict == "update" else "skipped"

    @staticmethod
    def _names(person: Fields) -> set[str]:
        return {person["username"].lower(), person["email"].lower()} - {""}

    @staticmethod
    def _matches(person: Fields, row: Fields, field: str) -> bool:
        value = row.get(field, "")
        if field == "id":
            return person["id"] == value
        return bool(value) and person[field].lower() == value.lower()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(imports=IMPORTS)
async def test_matching_is_that_of_the_model(
    directory: Directory, imports: list[tuple[dict[str, str], list[Fields]]]
) -> None:
    example = next(_EXAMPLES)
    model = Model()
    for number, (options, people) in enumerate(imports):
        rows = rows_of(*(_placed(fields, example) for fields in people))
        run = await begin(directory, digest=f"{example}-{number}", **options)
        outcomes = [(await write(directory, run, [row]))[0] for row in rows]
        assert shown(outcomes) == model.run(options, people), imports
    for person in model.people:
        expected = _placed({k: person[k] for k in ("username", "email", "phone")}, example)
        user = await find(directory, expected["username"])
        assert {name: getattr(user, name) for name in expected} == expected


def _placed(fields: Fields, example: int) -> Fields:
    """Return the fields with names and ids that no other example has."""
    placed = dict(fields)
    for name in ("username", "email"):
        if placed.get(name):
            placed[name] += f"{example}.test"
    if "id" in placed:
        placed["id"] += 1_000_000 * example
    return placed
