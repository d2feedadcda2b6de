"""Query plans of SQLite: indexes are used, tables are not scanned."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.actions.directory import Directory
from dragoman.rules.model import Filter, Order
from dragoman.rules.vocabulary import Reach
from dragoman.store import tokens, users
from dragoman.store.drivers.sqlite import SqliteDriver
from dragoman.store.query import CompiledStatement, Query
from dragoman.store.user_lists import counters, filters
from dragoman.store.user_lists.filters import Scope

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("backend", ["sqlite"], indirect=True)]

WHOLE_SCOPE = Scope(Reach.ANY, None, 0)
SEARCH = filters.list_shape(WHOLE_SCOPE, Filter(words=("quetzal",)))


def plan_of(directory: Directory, text: CompiledStatement) -> list[str]:
    driver = directory.driver
    assert isinstance(driver, SqliteDriver)
    nothing = [None] * text.sql.count("?")
    rows = driver._reader.execute(f"EXPLAIN QUERY PLAN {text.sql}", nothing).fetchall()
    return [row[3] for row in rows]


def scans_users(plan: list[str]) -> bool:
    return any(step.startswith(("SCAN users", "SCAN target")) for step in plan)


@pytest.mark.parametrize("order", ["username", "id", "last_name", "created_at"])
async def test_few_hits_are_looked_up_by_id(directory: Directory, order: str) -> None:
    shape = msgspec.structs.replace(
        SEARCH, by_ids=True, indexed_words=0, orders=(Order(order),), limit=20
    )
    plan = plan_of(directory, filters.page_query(shape, indexed=True).sqlite)
    assert not scans_users(plan), plan
    assert any(step.startswith("SEARCH users USING INTEGER PRIMARY KEY") for step in plan)


@pytest.mark.parametrize("scope", [WHOLE_SCOPE, Scope(Reach.TENANT, 1, 0)], ids=["any", "tenant"])
async def test_a_search_starts_from_the_trigram_index(directory: Directory, scope: Scope) -> None:
    shape = filters.list_shape(scope, Filter(words=("quetzal",), active=True))
    for query in (filters.ids_query(shape), filters.count_query(shape)):
        plan = plan_of(directory, query.sqlite)
        assert plan[0].startswith("SCAN users_search"), plan


async def test_many_hits_are_read_in_index_order(directory: Directory) -> None:
    orders = (Order("username"),)
    shape = msgspec.structs.replace(SEARCH, many_hits=True, orders=orders, limit=20)
    plan = plan_of(directory, filters.page_query(shape, indexed=True).sqlite)
    assert any("users_by_name" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


async def test_an_unrestricted_search_is_counted_from_the_index_alone(directory: Directory) -> None:
    plan = plan_of(directory, filters.count_query(SEARCH).sqlite)
    assert len(plan) == 1
    assert plan[0].startswith("SCAN users_search")


@pytest.mark.parametrize(
    "query",
    [users._BY_ID.batch, users._BY_ID.single, tokens._BY_DIGEST.batch, tokens._BY_DIGEST.single],
    ids=["users", "a user", "credentials", "a credential"],
)
async def test_lookups_use_indexes(directory: Directory, query: Query[object]) -> None:
    assert not scans_users(plan_of(directory, query.sqlite))


async def test_tenant_counters_use_an_index(directory: Directory) -> None:
    plan = plan_of(directory, counters._IN_TENANTS.sqlite)
    assert any(step.startswith("SEARCH counts") for step in plan), plan


async def test_lists_of_closed_contracts_read_the_index_of_approved_users(
    directory: Directory,
) -> None:
    scope = Scope(Reach.TENANT, 1, 0, approved_only=True)
    for descending in (False, True):
        shape = msgspec.structs.replace(
            filters.list_shape(scope, Filter(), (Order("id", descending=descending),)),
            limit=20,
        )
        plan = plan_of(directory, filters.page_query(shape, indexed=True).sqlite)
        assert any("users_approved" in step for step in plan), plan
        assert not any("TEMP B-TREE" in step for step in plan), plan
