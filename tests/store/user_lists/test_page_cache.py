"""Pages by number begin where they were left: at the right row, whatever was changed meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest

from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.rules.fields import canonical
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
EVERYBODY: Query[User] = filters.page_query(
    msgspec.structs.replace(
        filters.list_shape(WHOLE_SCOPE, Filter()), orders=(Order("id"),), limit=1000
    ),
    pages.COLUMNS,
    pages.from_row,
)


@pytest.fixture(autouse=True)
def _low_deep_page_threshold() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters, "SHALLOW_OFFSET", 3)
        yield


def expected_page(everybody: list[User], scope: Scope, wanted: Filter, order: Order) -> list[int]:
    seen = [
        user
        for user in everybody
        if (scope.reach is Reach.ANY or user.tenant_id == scope.tenant_id)
        and (wanted.roles is None or user.role in wanted.roles)
        and (wanted.active is None or user.active is wanted.active)
    ]
    seen.sort(key=lambda user: user.id)
    if order.key == "username":
        seen.sort(key=lambda user: canonical(user.username))
    elif order.key == "last_name":
        seen.sort(key=lambda user: user.last_name)
    if order.descending:
        seen.reverse()
    return [user.id for user in seen]


async def change(directory: Directory, draw: random.Random, ids: list[int], number: int) -> None:
    """Do one thing that moves somebody in some list; numbers of lists often stay the same."""
    one, other = draw.sample(ids, 2)
    async with transaction(directory) as tx:
        match draw.randrange(5):
            case 0:  # one comes, one goes: as many as before
                await users.delete(tx, one, erase=True)
                ids.remove(one)
                ids += await insert_users(tx, [UserRow(username=f"n{number}", tenant_id=1)])
            case 1:
                changes = UserChanges(username=f"{draw.choice('amz')}{number}")
                await users.update(tx, one, changes)
            case 2:  # two change places
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
    async with open_directory(settings_for(database)) as neighbour:  # another worker's process
        for number in range(60):
            await change(draw.choice([directory, neighbour]), draw, ids, number)
            read = directory.read(SYSTEM_ACTOR)
            everybody = [user for user, _ in await read.fetch(EVERYBODY)]  # type: ignore[misc]
            for scope, wanted, orders in draw.sample(LISTS, 6):
                expected = expected_page(everybody, scope, wanted, orders[0])
                for _ in range(3):
                    offset = draw.randrange(len(expected) + SIZE)
                    page = await pages.page(read, scope, wanted, orders, limit=SIZE, offset=offset)
                    found = [user.id for user in page.rows]
                    assert found == expected[offset : offset + SIZE], (
                        scope,
                        wanted,
                        orders,
                        offset,
                    )
                    assert page.count == len(expected)


async def rows_skipped(directory: Directory, patch: pytest.MonkeyPatch, *offsets: int) -> list[int]:
    """Return how many rows each of these pages made the database pass over."""
    seen: list[int] = []
    fetch = pages._fetch_rows

    async def noted(read: object, part: pages._Window) -> object:
        seen.append(part.offset)
        return await fetch(read, part)

    patch.setattr(pages, "_fetch_rows", noted)
    for offset in offsets:
        await pages.page(
            directory.read(SYSTEM_ACTOR),
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
    async with open_directory(settings_for(database)) as neighbour, transaction(neighbour) as tx:
        await users.update(tx, ids[0], UserChanges(username="zoe"))
    assert await rows_skipped(directory, monkeypatch, 12) == [11]
    async with transaction(directory) as tx:
        await users.update(tx, ids[0], UserChanges(bio="moves nobody"))
    assert await rows_skipped(directory, monkeypatch, 12) == [0]


class TestSearches:
    """A search with many hits is counted once, and again when anything changes that it may meet."""

    SEARCH = Filter(words=("u",))

    @pytest.fixture
    async def ids(self, directory: Directory, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Thirty who are found, which is many."""
        monkeypatch.setattr(pages, "SORT_THRESHOLD", 5)
        async with transaction(directory) as tx:
            return await insert_users(
                tx, (UserRow(username=f"u{n:02}", tenant_id=1) for n in range(30))
            )

    async def counted_statements(
        self, directory: Directory, patch: pytest.MonkeyPatch
    ) -> tuple[int, int]:
        """Return what a search counts, and how many statements counted it."""
        counted: list[object] = []
        query = filters.count_query

        def noted(shape: filters.ListShape) -> Query[int]:
            counted.append(shape)
            return query(shape)

        patch.setattr(filters, "count_query", noted)
        order = (Order("username"),)
        page = await pages.page(
            directory.read(SYSTEM_ACTOR), WHOLE_SCOPE, self.SEARCH, order, limit=2
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
    async def test_whatever_it_looks_at(
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
            open_directory(settings_for(database)) as neighbour,
            transaction(neighbour) as tx,
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
    """What is remembered has bounds."""

    def test_the_earliest_places_and_lists_go_first(self):
        book = PageCache()
        for offset in range(page_cache.MAX_CURSORS + 1):
            book.put_cursor((WHOLE_SCOPE, Filter(), ()), (1, 1), offset, ("x", offset))
        assert book.nearest((WHOLE_SCOPE, Filter(), ()), (1, 1), 0) is None
        assert book.nearest((WHOLE_SCOPE, Filter(), ()), (1, 1), 1) == (1, ("x", 1))
        for number in range(page_cache.MAX_LISTS):
            book.put_cursor((WHOLE_SCOPE, Filter(tenant_id=number), ()), (1, 1), 5, ("x", 5))
        assert book.nearest((WHOLE_SCOPE, Filter(), ()), (1, 1), 9) is None
        assert book.nearest((WHOLE_SCOPE, Filter(tenant_id=0), ()), (1, 1), 9) == (5, ("x", 5))
        assert len(book._lists) == page_cache.MAX_LISTS

    def test_a_place_is_believed_for_a_while(self, monkeypatch: pytest.MonkeyPatch):
        book = PageCache()
        name = (WHOLE_SCOPE, Filter(), ())
        book.put_cursor(name, (1, 1), 5, ("x", 5))
        assert book.nearest(name, (1, 2), 9) is None
        assert book.nearest(name, (1, 1), 9) is not None
        monkeypatch.setattr(page_cache, "TTL_S", 0.0)
        assert book.nearest(name, (1, 1), 9) is None
