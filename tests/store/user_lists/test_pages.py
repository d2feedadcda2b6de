"""Pages by cursor and by offset agree with a list sorted in Python, on both databases."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.actions.directory import Directory
from dragoman.rules.fields import email_key, search_key
from dragoman.rules.model import Filter, Order, Role, User
from dragoman.rules.vocabulary import Reach
from dragoman.store import users as rows
from dragoman.store.user_lists import counters, ordering, pages
from dragoman.store.user_lists.filters import Scope
from tests.support.databases import settings_for
from tests.support.people import (
    SYSTEM_ACTOR,
    UserRow,
    insert_users,
    make_tenant,
    open_directory,
    transaction,
    usernames,
)

EVERYBODY = Scope(Reach.ANY, None, 0)
WORDS = (1, 0, 3, 2, 2)
"""Sort keys of roles, as a contract with its own role names has them; two are equal."""

KEYS: dict[str, Any] = {
    "id": lambda user: user.id,
    "username": lambda user: search_key(user.username),
    "email": lambda user: email_key(user.email),
    "first_name": lambda user: search_key(user.first_name),
    "last_name": lambda user: search_key(user.last_name),
    "role": lambda user: user.role,
    "created_at": lambda user: user.created_at,
    "last_login_at": lambda user: user.last_login_at,
    "active": lambda user: user.active,
}
PLAIN = [Order(key, descending) for key in KEYS for descending in (False, True)]


def sorted_by_hand(users: list[User], orders: tuple[Order, ...]) -> list[int]:
    """Return ids in this order; ties are ordered by id, in the direction of the last key."""
    found = sorted(users, key=lambda user: user.id, reverse=orders[-1].descending)
    for order in reversed(orders):
        key = KEYS[order.key]
        if order.role_sort_keys:
            key = lambda user, ranks=order.role_sort_keys: ranks[user.role]  # noqa: E731
        found.sort(key=key, reverse=order.descending)
    return [user.id for user in found]


async def ids_by_offset(
    directory: Directory, scope: Scope, wanted: Filter, orders: tuple[Order, ...], size: int
) -> list[int]:
    read = directory.read(SYSTEM_ACTOR)
    found: list[int] = []
    for offset in itertools.count(0, size):
        page = await pages.page(
            read, directory.page_cache, scope, wanted, orders, limit=size, offset=offset
        )
        found += [user.id for user in page.rows]
        if not page.rows:
            return found
        assert page.count >= len(found)
    raise AssertionError


async def ids_by_cursor(
    directory: Directory, scope: Scope, wanted: Filter, orders: tuple[Order, ...], size: int
) -> list[int]:
    read = directory.read(SYSTEM_ACTOR)
    found: list[int] = []
    after: tuple[Any, int] | None = None
    while True:
        page = await pages.page(
            read, directory.page_cache, scope, wanted, orders, limit=size, cursor=after
        )
        found += [user.id for user in page.rows]
        if not page.rows:
            return found
        after = page.after
        assert after is not None


TEXTS = st.text(alphabet="aAbBzZ_%-é\u0301ÉßẞΩωЖж中文ﬃ😀\U0001f468'\" ", max_size=4)


@st.composite
def people(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw users; names are made unique later."""
    one = st.fixed_dictionaries(
        {
            "username": TEXTS,
            "email": TEXTS | st.none(),
            "first_name": TEXTS,
            "last_name": st.sampled_from(["", "Li", "li", "Ž"]),
            "role": st.sampled_from(Role),
            "active": st.booleans(),
            "created_at": st.integers(1, 4) | st.just(2**50),
            "last_login_at": st.integers(0, 2),
        }
    )
    return draw(st.lists(one, min_size=3, max_size=20))


def orders() -> st.SearchStrategy[tuple[Order, ...]]:
    some = st.sampled_from(PLAIN) | st.builds(Order, st.just("role"), st.booleans(), st.just(WORDS))
    several = st.lists(some, min_size=1, max_size=3, unique_by=lambda order: order.key)
    return several.map(tuple)


def test_random_users_in_every_order(database: str):
    numbers = itertools.count()
    with asyncio.Runner() as runner:
        context = open_directory(settings_for(database))
        directory = runner.run(context.__aenter__())

        async def check(
            drawn_users: list[dict[str, Any]], order: tuple[Order, ...], size: int, wanted: Filter
        ) -> None:
            home = await make_tenant(directory, f"home{next(numbers)}")
            made: list[UserRow] = []
            for one in drawn_users:
                n = next(numbers)
                email = "" if one["email"] is None else f"{one['email']}{n}@x.test"
                named = {"username": f"{one['username']}{n}", "email": email, "tenant_id": home}
                made.append(UserRow(**{**one, **named}))
            async with transaction(directory) as tx:
                ids = await insert_users(tx, made)
                all_users = [await rows.get(tx, user_id) for user_id in ids]
            wished = [
                user
                for user in all_users
                if (wanted.roles is None or user.role in wanted.roles)
                and (wanted.active is None or user.active is wanted.active)
            ]
            expected = sorted_by_hand(wished, order)
            read = directory.read(SYSTEM_ACTOR)
            scope = Scope(Reach.TENANT, home, 0)
            assert await ids_by_offset(directory, scope, wanted, order, size) == expected
            if ordering.supports_keyset(order):
                assert await ids_by_cursor(directory, scope, wanted, order, size) == expected
            else:
                page = await pages.page(
                    read, directory.page_cache, scope, wanted, order, limit=size
                )
                assert page.after is None
            assert page_count(
                await pages.page(read, directory.page_cache, scope, wanted, order, limit=1)
            ) == len(expected)

        @settings(
            max_examples=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            people(),
            orders(),
            st.integers(1, 7),
            st.builds(
                Filter,
                roles=st.none() | st.frozensets(st.sampled_from(Role)),
                active=st.none() | st.booleans(),
            ),
        )
        def examples(
            drawn_users: list[dict[str, Any]], order: tuple[Order, ...], size: int, wanted: Filter
        ) -> None:
            runner.run(check(drawn_users, order, size, wanted))

        try:
            examples()
        finally:
            runner.run(context.__aexit__(None, None, None))


def page_count(page: Any) -> int:
    return page.count


@pytest.fixture
async def seventy_users(directory: Directory) -> list[User]:
    """Seventy different users in two tenants and in none; the same on both databases."""
    chance = random.Random(7)
    firsts = ["", "Anna", "anna", "Änna", "Ωμέγα", "жук", "中", "😀", "ﬃ", "%", "_", "z'z", 'q"q']
    tenants = [None, 1, await make_tenant(directory, "acme")]
    made = [
        UserRow(
            username=f"{chance.choice(firsts[1:])}{n}",
            email=chance.choice(["", f"{chance.choice(firsts)}{n}@x.test"]),
            first_name=chance.choice(firsts),
            last_name=chance.choice(firsts),
            role=chance.choice(list(Role)),
            active=chance.random() < 0.7,
            created_at=chance.choice([1, 2, 2**52]),
            last_login_at=chance.choice([0, 0, 5]),
            tenant_id=chance.choice(tenants),
        )
        for n in range(70)
    ]
    async with transaction(directory) as tx:
        ids = await insert_users(tx, made)
        await rows.remove(tx, await rows.get(tx, ids.pop()), erase=False)
        admin = await rows.get(tx, 1)
        return [admin, *[await rows.get(tx, user_id) for user_id in ids]]


@pytest.mark.anyio
async def test_every_order(directory: Directory, seventy_users: list[User]):
    wrong: list[str] = []
    for order in PLAIN:
        expected = sorted_by_hand(seventy_users, (order,))
        if await ids_by_offset(directory, EVERYBODY, Filter(), (order,), 17) != expected:
            wrong.append(f"{order} by offset")
        if await ids_by_cursor(directory, EVERYBODY, Filter(), (order,), 17) != expected:
            wrong.append(f"{order} by cursor")
    assert wrong == []


@pytest.mark.anyio
async def test_filtered_lists(directory: Directory, seventy_users: list[User]):
    by_mail = (Order("email", descending=True),)
    cases: list[tuple[Scope, Filter, Any]] = [
        (Scope(Reach.TENANT, 1, 0), Filter(), lambda u: u.tenant_id == 1),
        (Scope(Reach.TENANT, 1, 0), Filter(tenant_id=2), lambda _: False),
        (EVERYBODY, Filter(tenant_id=2), lambda u: u.tenant_id == 2),
        (EVERYBODY, Filter(words=("anna",)), lambda u: "anna" in text_of(u)),
        (EVERYBODY, Filter(words=("x.t", "a")), lambda u: "x.t" in (t := text_of(u)) and "a" in t),
        (Scope(Reach.TENANT, 1, 0), Filter(words=("x",)), lambda u: u.tenant_id == 1 and "x" in text_of(u)),
        (Scope(Reach.SELF, 1, seventy_users[9].id), Filter(), lambda u: u.id == seventy_users[9].id),
        (Scope(Reach.NONE, 1, seventy_users[9].id), Filter(), lambda _: False),
    ]  # fmt: skip
    for scope, wanted, belongs in cases:
        expected = sorted_by_hand([user for user in seventy_users if belongs(user)], by_mail)
        assert await ids_by_offset(directory, scope, wanted, by_mail, 5) == expected, (
            scope,
            wanted,
        )
        assert await ids_by_cursor(directory, scope, wanted, by_mail, 5) == expected, (
            scope,
            wanted,
        )


def text_of(user: User) -> str:
    names = (user.username, user.email, user.first_name, user.last_name)
    return "\n".join(search_key(name) for name in names)


@pytest.mark.anyio
async def test_paging_by_cursor_during_changes_misses_no_user(
    directory: Directory, seventy_users: list[User]
):
    read = directory.read(SYSTEM_ACTOR)
    order = (Order("username"),)
    page = await pages.page(read, directory.page_cache, EVERYBODY, Filter(), order, limit=10)
    seen = usernames(page.rows)
    async with transaction(directory) as tx:
        for user in page.rows[2:5]:
            await rows.remove(tx, await rows.get(tx, user.id), erase=True)
        await insert_users(tx, [UserRow(username="!")])
    while page.rows:
        page = await pages.page(
            read, directory.page_cache, EVERYBODY, Filter(), order, limit=10, cursor=page.after
        )
        seen += usernames(page.rows)
    assert len(seen) == len(set(seen)) == len(seventy_users)


@pytest.mark.anyio
async def test_a_page_beyond_the_end_is_empty(directory: Directory, seventy_users: list[User]):
    read = directory.read(SYSTEM_ACTOR)
    page = await pages.page(
        read,
        directory.page_cache,
        EVERYBODY,
        Filter(),
        (Order("id"),),
        limit=100,
        offset=2**40 * 100,
    )
    assert page.rows == []
    assert page.count == len(seventy_users)
    assert page.after is None


def test_a_closed_list_is_read_row_by_row_where_many_are_left_out() -> None:
    """The trigram index finds who only signed up, too: a flood of namesakes would slow it."""
    small, middle, large = pages.SCAN_THRESHOLD, pages.CLOSED_SCAN_THRESHOLD, 10**6
    cases = {
        (small, 0): True, (small + 1, 0): False, (middle, 5 * middle): True,
        (middle, 5 * middle - 1): False, (middle + 1, large): False,
    }  # fmt: skip
    for (count, hidden), expected in cases.items():
        assert pages._reads_each_row(counters.ListCount(count, hidden=hidden)) is expected
