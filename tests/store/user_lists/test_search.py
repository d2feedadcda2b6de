"""A search agrees with Python's ``in`` on the search texts, on both databases."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.actions.directory import Directory
from dragoman.rules.fields import search_key, search_words
from dragoman.rules.model import Filter, Order, UserChanges
from dragoman.rules.vocabulary import Reach
from dragoman.store.user_lists import pages
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

BY_ID = (Order("id"),)

PEOPLE = [
    UserRow(username="john.doe", email="john@example.com", first_name="John", last_name="Doe"),
    UserRow(username="j_doe", email="Johnny@EXAMPLE.com", first_name="Jo%hn", last_name="D'Oe"),
    UserRow(username="100%", first_name='"quoted"', last_name="back\\slash"),
    UserRow(username="straße", email="strasse@x.test", first_name="ΟΔΥΣΣΕΥΣ", last_name="Ünal"),
    UserRow(username="ИВАН", first_name="Ivan", last_name="Иванов"),
    UserRow(username="王小明", email="wang@x.test", first_name="小明", last_name="王"),
    UserRow(username="émile", first_name="E\u0301mile", last_name="ﬃnger"),
    UserRow(username="smile😀", first_name="Aa", last_name="aaaa"),
    UserRow(username="star*and(paren)", first_name="NEAR OR NOT", last_name="col:umn^2"),
    UserRow(username="--comment", first_name="a;b", last_name="-minus +plus"),
]

SEARCHES = [
    "john", "JOHN", "jo", "j", "oh", "doe john", "john doe", "j_d", "j.d", "_", "%", "100%", "o%h",
    "%%", "\\", "k\\s", "\\\\", "'", "d'oe", '"', '"quoted"', '"quo', 'ted"', "strasse", "STRASSE",
    "ß", "ss", "οδυσσευσ", "Οδυσσεύς", "ΟΔΥΣ", "ü", "ÜNAL", "иван", "ив", "и", "ИВАН ivan", "王",
    "小明", "王小明", "é", "É", "e\u0301", "ffi", "ﬃ", "ffinger", "😀", "e😀", "le😀", "aaa", "aaaaa",
    "*", "star*", "(paren)", "near", "NEAR or", "AND", "col:umn", "^2", ":", "-", "--", "--c",
    "a;b", "-minus", "+plus", "ex example com", "example.com", "@", "@x.", "nobody", "doejohn",
    "doe\x1fjohn", "\u3000john\u3000", "n\nj", "x" * 300, " ".join("jo" for _ in range(40)),
    " ".join(f"w{n}" for n in range(60)),
]  # fmt: skip


@pytest.fixture(autouse=True)
def force_search_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the index even for the few users of these tests."""
    monkeypatch.setattr(pages, "SCAN_THRESHOLD", 0)


def text_of(row: UserRow) -> str:
    return "\n".join(
        search_key(text) for text in (row.username, row.email, row.first_name, row.last_name)
    )


def expected_ids(people: list[UserRow], search: str) -> list[str]:
    """Return the users whose search text contains every word of a search."""
    words = [search_key(word) for word in search.split()]
    return [row.username for row in people if all(word in text_of(row) for word in words)]


async def found_ids(directory: Directory, search: str, scope: Scope) -> list[str]:
    wanted = Filter(words=search_words(search))
    page = await pages.page(
        directory.read(SYSTEM_ACTOR), directory.page_cache, scope, wanted, BY_ID, limit=100
    )
    assert page.count == len(page.rows)
    return usernames(page.rows)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("candidates", "few"), [(2000, 2000), (2000, 0), (1, 0)], ids=["read", "sorted", "walked"]
)
async def test_every_search(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, candidates: int, few: int
):
    """Scanning few users, sorting few hits and walking an index must find the same."""
    monkeypatch.setattr(pages, "SORT_THRESHOLD", candidates)
    monkeypatch.setattr(pages, "SCAN_THRESHOLD", few)
    home = await make_tenant(directory, "home")
    people = [UserRow(**{**as_dict(row), "tenant_id": home}) for row in PEOPLE]
    async with transaction(directory) as tx:
        await insert_users(tx, people)
    scope = Scope(Reach.TENANT, home, 0)
    wrong: list[str] = []
    for search in SEARCHES:
        expected = expected_ids(PEOPLE, search)
        seen = await found_ids(directory, search, scope)
        everywhere = await found_ids(directory, search, Scope(Reach.ANY, None, 0))
        if seen != expected or [name for name in everywhere if name in expected] != expected:
            wrong.append(f"{search[:40]!r}: {seen} instead of {expected}")
    assert wrong == []


def as_dict(row: UserRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def test_the_searches_have_hits_and_misses():
    hits = [len(expected_ids(PEOPLE, search)) for search in SEARCHES]
    assert sum(0 < n < len(PEOPLE) for n in hits) > len(SEARCHES) * 0.7


LETTERS = st.sampled_from(list("aAbß%_\\'\"*-ΣςσıİiÉe\u0301ﬃ中😀\u0131\u017f "))
TEXT = st.text(alphabet=LETTERS, max_size=6)


def test_random_searches(database: str):
    numbers = itertools.count()
    with asyncio.Runner() as runner:
        context = open_directory(settings_for(database))
        directory = runner.run(context.__aenter__())

        async def check(drawn_names: list[tuple[str, str]], searches: list[str]) -> None:
            home = await make_tenant(directory, f"home{next(numbers)}")
            people = [
                UserRow(username=f"{name}{next(numbers)}", first_name=first, tenant_id=home)
                for name, first in drawn_names
            ]
            async with transaction(directory) as tx:
                await insert_users(tx, people)
            for search in [*searches, *(first for _, first in drawn_names)]:
                seen = await found_ids(directory, search, Scope(Reach.TENANT, home, 0))
                assert seen == expected_ids(people, search), search

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6),
            st.lists(TEXT, min_size=1, max_size=4),
        )
        def examples(drawn_names: list[tuple[str, str]], searches: list[str]) -> None:
            runner.run(check(drawn_names, searches))

        try:
            examples()
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.mark.anyio
async def test_a_new_name_is_found_and_the_old_one_is_not(directory: Directory):
    from dragoman.actions import users

    async with transaction(directory) as tx:
        (user_id,) = await insert_users(tx, [UserRow(username="before", last_name="Stays")])
        await users.update(tx, user_id, UserChanges(username="after", first_name="Ann"))
    all_users = Scope(Reach.ANY, None, 0)
    for search, names in {
        "before": [],
        "after": ["after"],
        "ann": ["after"],
        "stay": ["after"],
        "aft": ["after"],
        "fo": [],
    }.items():
        assert await found_ids(directory, search, all_users) == names, search


@pytest.mark.anyio
async def test_a_change_that_was_rolled_back_is_not_found(directory: Directory):
    async with transaction(directory) as tx:
        await insert_users(tx, [UserRow(username="before")])
    with pytest.raises(ZeroDivisionError):
        async with transaction(directory) as tx:
            await insert_users(tx, [UserRow(username="vanishes")])
            raise ZeroDivisionError
    assert await found_ids(directory, "vanish", Scope(Reach.ANY, None, 0)) == []


@pytest.mark.anyio
async def test_tenants_are_searched_by_the_same_canonical_texts(directory: Directory):
    from dragoman.actions import tenants
    from dragoman.rules.model import TenantChanges

    given = TenantChanges(name="Größe & Söhne", slug="groesse", email="BÜRO@example.com")
    async with transaction(directory) as tx:
        await tenants.create(tx, given)
    for search in ("GRÖSSE", "größe", "SÖHNE groesse", "büro", "BÜRO@EXAMPLE", "ro@ex"):
        page = await tenants.list_page(
            directory.read(SYSTEM_ACTOR), words=search_words(search), limit=10
        )
        assert [row.tenant.slug for row in page.rows] == ["groesse"], search
    for search in ("gr_sse", "%", "groesse nobody", "\\"):
        page = await tenants.list_page(
            directory.read(SYSTEM_ACTOR), words=search_words(search), limit=10
        )
        assert page.count == 0, search


@pytest.mark.anyio
async def test_a_search_of_a_thousand_words(directory: Directory):
    from dragoman.actions import tenants

    words = search_words(" ".join(f"w{n}" for n in range(1500)))
    await found_ids(directory, " ".join(words), Scope(Reach.ANY, None, 0))
    page = await tenants.list_page(directory.read(SYSTEM_ACTOR), words=words, limit=10)
    assert page.count == 0
