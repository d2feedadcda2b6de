"""Tenants: what is shown, what may be done, and what is refused in words."""

from __future__ import annotations

import re

import pytest

from dragoman.console import proof
from dragoman.console.screens import tenants as screen
from tests.console.browser import Browser
from tests.support.world import PASSWORD, World

pytestmark = pytest.mark.anyio

ACTION = re.compile(r'action="/console/tenants/\d+(?:/(\w+))?"')
NEW = {"name": "Initech", "slug": "initech", "email": "", "url": "", "description": ""}


@pytest.fixture
def ids(seeded_database: tuple[str, World]) -> dict[str, int]:
    """The ids of the tenants of the world, by name."""
    return {name: tenant.id for name, tenant in seeded_database[1].tenants.items()}


async def create(browser: Browser) -> str:
    answer = await browser.send("/tenants", NEW)
    assert answer.status_code == 303
    return answer.headers["location"].removeprefix("/console").partition("?")[0]


async def test_the_list_counts_people_and_owners(browser: Browser) -> None:
    await browser.sign_in("ada")
    text = (await browser.open("/tenants?q=acme&state=active&sort=-slug")).text
    assert "<strong>1 tenant</strong>" in text
    assert 'data-label="People">5<' in text
    assert 'data-label="Active owners">2<' in text
    assert "No tenant matches" in (await browser.open("/tenants?q=nowhere")).text
    assert "has 1 page." in (await browser.open("/tenants?page=9&size=7&sort=junk")).text


async def test_an_owner_sees_only_its_own_and_members_none(
    browser: Browser, ids: dict[str, int]
) -> None:
    await browser.sign_in("olga")
    text = (await browser.open("/tenants")).text
    assert "ACME Corporation" in text
    assert "Globex" not in text
    assert "/tenants/new" not in text
    assert (await browser.open(f"/tenants/{ids['globex']}")).status_code == 404
    await browser.sign_in("mia")
    assert (await browser.open("/tenants")).status_code == 403
    assert "/console/tenants" not in (await browser.open("/account")).text


async def test_create_rename_and_delete(browser: Browser) -> None:
    await browser.sign_in("ada")
    path = await create(browser)
    assert "The tenant is created." in (await browser.open(f"{path}?done=created")).text
    saved = await browser.send(path, {"name": "Initrode", "slug": "initrode"})
    assert saved.headers["location"].endswith("?done=saved")
    assert "<h1>Initrode</h1>" in (await browser.open(path)).text
    wrong = await browser.send(f"{path}/delete", {"slug": "initech"})
    assert wrong.status_code == 400
    assert "Nothing was deleted" in wrong.text
    done = await browser.send(f"{path}/delete", {"slug": "initrode"})
    assert done.headers["location"] == "/console/tenants?done=deleted"
    assert (await browser.open(path)).status_code == 404


async def test_errors_are_at_the_field_and_keep_what_was_typed(
    browser: Browser, ids: dict[str, int]
) -> None:
    await browser.sign_in("ada")
    for path in ("/tenants", f"/tenants/{ids['acme']}"):
        answer = await browser.send(path, {**NEW, "slug": "globex", "name": "<Kept>"})
        assert answer.status_code == 400
        assert 'value="&lt;Kept&gt;"' in answer.text
        assert 'id="slug-wrong"' in answer.text
        assert "This is taken already." in answer.text


async def test_switching_off_ends_the_sessions(browser: Browser, ids: dict[str, int]) -> None:
    mia = Browser(browser.client)
    await mia.sign_in("mia")
    await browser.sign_in("ada")
    path = f"/tenants/{ids['acme']}"
    answer = await browser.send(f"{path}/deactivate", {})
    assert answer.headers["location"] == f"/console{path}?done=deactivate"
    assert (await mia.open("/account")).status_code == 303
    assert set(ACTION.findall((await browser.open(path)).text)) == {"", "activate"}
    assert (await browser.send(f"{path}/activate", {})).status_code == 303


async def test_switching_off_many_needs_a_fresh_proof(
    browser: Browser, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.sign_in("ada")
    monkeypatch.setattr(proof, "VALID_FOR", 0)
    monkeypatch.setattr(screen, "MANY", 1)
    path = f"/tenants/{ids['globex']}/deactivate"
    assert (await browser.send(path, {})).status_code == 403
    assert (await browser.send(path, {"proof": PASSWORD})).status_code == 303


async def test_refusals_are_said_in_words(browser: Browser, ids: dict[str, int]) -> None:
    await browser.sign_in("ada")
    used = await browser.send(f"/tenants/{ids['acme']}/delete", {"slug": "acme"})
    assert used.status_code == 400
    assert "This tenant has people." in used.text
    home = f"/tenants/{ids['main']}"
    page = await browser.open(home)
    assert 'name="slug"' not in page.text
    slug = re.search(r"<dt>Slug</dt><dd>([^<]+)<", page.text)
    assert slug
    refused = await browser.send(f"{home}/delete", {"slug": slug[1]})
    assert "The default tenant cannot be deleted." in refused.text


@pytest.mark.parametrize(
    ("actor", "shown"), [("ada", {"", "deactivate"}), ("olga", {""}), ("mia", None), ("vic", None)]
)
async def test_what_is_refused_is_not_shown(
    browser: Browser, ids: dict[str, int], actor: str, shown: set[str] | None
) -> None:
    await browser.sign_in(actor)
    path = f"/tenants/{ids['acme']}"
    page = await browser.open(path)
    assert page.status_code == (403 if shown is None else 200)
    assert set(ACTION.findall(page.text)) == (shown or set())
    if actor != "ada":
        for operation in ("activate", "deactivate", "delete"):
            answer = await browser.send(f"{path}/{operation}", {"slug": "acme"})
            assert answer.status_code == 403, operation
        assert (await browser.open("/tenants/new")).status_code == 403
        assert (await browser.send("/tenants", NEW)).status_code == 403
    answer = await browser.send(path, {"name": "ACME Corporation"})
    assert answer.status_code == (403 if shown is None else 303)
    assert (await browser.send(path, {}, {"Origin": "https://evil.test"})).status_code == 403
