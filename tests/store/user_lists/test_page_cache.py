"""Page cache: pages by number start at the right row, whatever has changed."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest

from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.rules.fields import search_key
from dragoman.rules.model import Filter, Order, Role, User, UserChanges
from dragoman.rules.vocabulary import Reach
from dragoman.store.query import Query
from dragoman.store.user_lists import filters, page_cache, pages
from dragoman.store.user_lists.filters import Scope
from dragoman.store.user_lists.page_cache import PageCache
from tests.support.databases import settings_for
from tests.support.people import (
    SYSTEM_ACTOR,
    UserRow,
    insert_users,
    make_tenant,
    open_directory,
    transaction,
)

pytestmark = pytest.mark.anyio

WHOLE_SCOPE = Scope(Reach.ANY, None, 0)
SIZE = 3
LISTS = [
    (scope, Filter(roles=roles, active=active), (order,))
    for scope in (WHOLE_SCOPE, Scope(Reach.TENANT, 1, 0))
    for roles, active in ((None, None), (frozenset({Role.MEMBER}), None), (None, True))
    for order in (Order("username"), Order("id", descending=True), Order("last_name"))
]
EVERYBODY = filters.page_query(
    msgspec.structs.replace(
        filters.list_shape(WHOLE_SCOPE, Filter()), orders=(Order("id"),), limit=1000
    ),
    indexed=False,
)


@pytest.fixture(autouse=True)
def _low_deep_page_threshold() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters, "SHALLOW_OFFSET", 3)
        yield


def expected_page(all_users: list[User], scope: Scope, wanted: Filter, order: Order) -> list[int]:
    seen = [
        user
        for user in all_users
        if (scope.reach is Reach.ANY or user.tenant_id == scope.tenant_id)
        and (wanted.roles is None or user.role in wanted.roles)
        and (wanted.active is None or user.active is wanted.active)
    ]
    seen.sort(key=lambda user: user.id)
    if order.key == "username":
        seen.sort(key=lambda user: search_key(user.username))
    elif order.key == "last_name":
        seen.sort(key=lambda user: search_key(user.last_name))
    if order.descending:
        seen.reverse()
    return [user.id for user in seen]


async def change(directory: Directory, draw: random.Random, ids: list[int], number: int) -> None:
    """Make one change that moves a user in a list; counts often stay the same."""
    one, other = draw.sample(ids, 2)
    async with transaction(directory) as tx:
        match draw.randrange(5):
            case 0:  # one user is added, one is deleted: the count is the same
                await users.delete(tx, one, erase=True)
                ids.remove(one)
                ids += await insert_users(tx, [UserRow(username=f"n{number}", tenant_id=1)])
            case 1:
                changes = UserChanges(username=f"{draw.choice('amz')}{number}")
                await users.update(tx, one, changes)
            case 2:  # two users swap roles
                await users.assign_role(tx, one, Role.MEMBER)
                await users.assign_role(tx, other, Role.VIEWER)
            case 3:
                await users.set_active(tx, one, active=draw.random() < 0.5)
            case _:
                await users.update(tx, one, UserChanges(last_name=draw.choice("abc")))


async def test_pages_are_the_same_without_the_cache(database: str, directory: Directory):
    draw = random.Random(17)
    other = await make_tenant(directory, "other")
    async with transaction(directory) as tx:
        people = [
            UserRow(
                username=f"u{n:02}", tenant_id=draw.choice([1, other]), last_name=draw.choice("abc")
            )
            for n in range(30)
        ]
        ids = await insert_users(tx, people)
    async with open_directory(settings_for(database)) as other_process:
        for number in range(60):
            await change(draw.choice([directory, other_process]), draw, ids, number)
            read = directory.read(SYSTEM_ACTOR)
            all_users = [user for user, _ in await read.fetch(EVERYBODY)]
            for scope, wanted, orders in draw.sample(LISTS, 6):
                expected = expected_page(all_users, scope, wanted, orders[0])
                for _ in range(3):
                    offset = draw.randrange(len(expected) + SIZE)
                    page = await pages.page(
                        read, directory.page_cache, scope, wanted, orders, limit=SIZE, offset=offset
                    )
                    found = [user.id for user in page.rows]
                    assert found == expected[offset : offset + SIZE], (
                        scope,
                        wanted,
                        orders,
                        offset,
                    )
                    assert page.count == len(expected)


async def rows_skipped(directory: Directory, patch: pytest.MonkeyPatch, *offsets: int) -> list[int]:
    """Return how many rows the database skipped for each of these pages."""
    seen: list[int] = []
    fetch = pages._fetch_rows

    async def noted(read: object, part: pages._Window) -> object:
        seen.append(part.offset)
        return await fetch(read, part)

    patch.setattr(pages, "_fetch_rows", noted)
    for offset in offsets:
        await pages.page(
            directory.read(SYSTEM_ACTOR),
            directory.page_cache,
            WHOLE_SCOPE,
            Filter(),
            (Order("username"),),
            limit=2,
            offset=offset,
        )
    patch.setattr(pages, "_fetch_rows", fetch)
    return seen


async def test_walking_pages_skips_each_row_once(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
):
    async with transaction(directory) as tx:
        await insert_users(tx, (UserRow(username=f"u{n:02}") for n in range(60)))
    turned = await rows_skipped(directory, monkeypatch, 10, 12, 14, 14, 16, 20)
    assert turned == [9, 0, 0, 0, 0, 1]
    assert await rows_skipped(directory, monkeypatch, 30, 12, 60, 58) == [7, 0, 0, 1]


async def test_any_change_invalidates_the_cache(
    directory: Directory, database: str, monkeypatch: pytest.MonkeyPatch
):
    async with transaction(directory) as tx:
        ids = await insert_users(tx, (UserRow(username=f"u{n:02}") for n in range(60)))
    assert await rows_skipped(directory, monkeypatch, 10, 12) == [9, 0]
    async with (
        open_directory(settings_for(database)) as other_process,
        transaction(other_process) as tx,
    ):
        await users.update(tx, ids[0], UserChanges(username="zoe"))
    assert await rows_skipped(directory, monkeypatch, 12) == [11]
    async with transaction(directory) as tx:
        await users.update(tx, ids[0], UserChanges(bio="not in any list"))
    assert await rows_skipped(directory, monkeypatch, 12) == [0]


class TestSearches:
    """A search with many hits is counted once, and again after a change of a searched column."""

    SEARCH = Filter(words=("u",))

    @pytest.fixture
    async def ids(self, directory: Directory, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The ids of thirty hits, which is above the threshold."""
        monkeypatch.setattr(pages, "SORT_THRESHOLD", 5)
        async with transaction(directory) as tx:
            return await insert_users(
                tx, (UserRow(username=f"u{n:02}", tenant_id=1) for n in range(30))
            )

    async def counted_statements(
        self, directory: Directory, patch: pytest.MonkeyPatch
    ) -> tuple[int, int]:
        """Return the count of a search, and how many statements counted it."""
        counted: list[object] = []
        query = filters.count_query

        def noted(shape: filters.ListShape) -> Query[int]:
            counted.append(shape)
            return query(shape)

        patch.setattr(filters, "count_query", noted)
        order = (Order("username"),)
        page = await pages.page(
            directory.read(SYSTEM_ACTOR),
            directory.page_cache,
            WHOLE_SCOPE,
            self.SEARCH,
            order,
            limit=2,
        )
        patch.setattr(filters, "count_query", query)
        return page.count, len(counted)

    @pytest.mark.parametrize(
        ("changes", "count"),
        [
            (UserChanges(username="zoe"), 30),
            (UserChanges(email="u@example.com"), 31),
            (UserChanges(first_name="Ulla"), 31),
            (UserChanges(last_name="Ulm"), 31),
        ],
        ids=["username", "email", "first name", "last name"],
    )
    async def test_a_change_of_a_searched_column_invalidates_the_count(
        self,
        directory: Directory,
        database: str,
        ids: list[int],
        monkeypatch: pytest.MonkeyPatch,
        changes: UserChanges,
        count: int,
    ):
        async with transaction(directory) as tx:
            other = (await insert_users(tx, [UserRow(username="other")]))[0]
        assert await self.counted_statements(directory, monkeypatch) == (30, 1)
        assert await self.counted_statements(directory, monkeypatch) == (30, 0)
        async with (
            open_directory(settings_for(database)) as other_process,
            transaction(other_process) as tx,
        ):
            await users.update(tx, other, changes)
        assert await self.counted_statements(directory, monkeypatch) == (count, 1)
        async with transaction(directory) as tx:
            await users.delete(tx, ids[0], erase=True)
        assert await self.counted_statements(directory, monkeypatch) == (count - 1, 1)
        async with transaction(directory) as tx:
            await users.update(tx, ids[1], UserChanges(phone="123"))
        assert await self.counted_statements(directory, monkeypatch) == (count - 1, 0)


class TestPageCache:
    """The size of the cache and the lifetime of its entries are limited."""

    def test_the_oldest_cursors_and_lists_are_dropped_first(self):
        cache = PageCache()
        for offset in range(page_cache.MAX_CURSORS + 1):
            cache.put_cursor((WHOLE_SCOPE, Filter(), ()), (1, 1), offset, ("x", offset))
        assert cache.nearest((WHOLE_SCOPE, Filter(), ()), (1, 1), 0) is None
        assert cache.nearest((WHOLE_SCOPE, Filter(), ()), (1, 1), 1) == (1, ("x", 1))
        for number in range(page_cache.MAX_LISTS):
            cache.put_cursor((WHOLE_SCOPE, Filter(tenant_id=number), ()), (1, 1), 5, ("x", 5))
        assert cache.nearest((WHOLE_SCOPE, Filter(), ()), (1, 1), 9) is None
        assert cache.nearest((WHOLE_SCOPE, Filter(tenant_id=0), ()), (1, 1), 9) == (5, ("x", 5))
        assert len(cache._lists) == page_cache.MAX_LISTS

    def test_entries_expire(self, monkeypatch: pytest.MonkeyPatch):
        cache = PageCache()
        name = (WHOLE_SCOPE, Filter(), ())
        cache.put_cursor(name, (1, 1), 5, ("x", 5))
        assert cache.nearest(name, (1, 2), 9) is None
        assert cache.nearest(name, (1, 1), 9) is not None
        monkeypatch.setattr(page_cache, "TTL_S", 0.0)
        assert cache.nearest(name, (1, 1), 9) is None
