"""The list of people: who is in reach, filters and pages."""

from __future__ import annotations

import re

import pytest

from tests.console.browser import Browser

pytestmark = pytest.mark.anyio

NAME = re.compile(r'class="first">(?:<a [^>]*>)?([^<]+)<')


async def names(browser: Browser, query: str = "") -> list[str]:
    page = await browser.open(f"/people{query}")
    assert page.status_code == 200
    return NAME.findall(page.text)


async def test_an_owner_sees_its_tenant(browser: Browser) -> None:
    await browser.sign_in("olga")
    found = await names(browser)
    assert {"Olga Orlov", "Mia Marsh", "vic"} <= set(found)
    assert "Gil Gray" not in found


async def test_an_administrator_sees_everybody(browser: Browser) -> None:
    await browser.sign_in("ada")
    assert {"Olga Orlov", "Gil Gray", "admin"} <= set(await names(browser))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?q=mia", ["Mia Marsh"]),
        ("?role=owner", ["Olga Orlov", "Otto Ode"]),
        ("?state=inactive", ["idle"]),
        ("?state=unapproved", []),
        ("?came_by=sign-up", []),
        ("?sort=-name&role=owner", ["Otto Ode", "Olga Orlov"]),
        ("?role=nonsense&state=x&sort=password_hash&size=7&page=-1&q=mia", ["Mia Marsh"]),
        ("?page=9999999999999999999999", None),
    ],
)
async def test_filters(browser: Browser, query: str, expected: list[str] | None) -> None:
    await browser.sign_in("olga")
    found = await names(browser, query)
    assert expected is None or found == expected


async def test_no_match_offers_to_clear_the_filters(browser: Browser) -> None:
    await browser.sign_in("olga")
    page = await browser.open("/people?q=zzzz")
    assert "No person matches" in page.text
    assert 'href="/console/people">Clear the filters' in page.text


async def test_markup_in_a_search_is_text(browser: Browser) -> None:
    await browser.sign_in("olga")
    page = await browser.open("/people?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in page.text
