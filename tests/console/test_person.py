"""A person: what is shown of it, what may be done with it, and that the policy decides."""

from __future__ import annotations

import re

import pytest

from dragoman.console import proof
from tests.console.browser import Browser
from tests.support.world import PASSWORD, World

pytestmark = pytest.mark.anyio

ACTION = re.compile(r'action="/console/people/\d+/(\w+)"')


@pytest.fixture
def ids(seeded_database: tuple[str, World]) -> dict[str, int]:
    """The ids of the people of the world, by name."""
    return {name: person.id for name, person in seeded_database[1].people.items()}


async def offered(browser: Browser, user_id: int) -> set[str]:
    page = await browser.open(f"/people/{user_id}")
    assert page.status_code == 200
    return set(ACTION.findall(page.text))


async def test_an_owner_sees_why_somebody_cannot_sign_in(
    browser: Browser, ids: dict[str, int]
) -> None:
    await browser.sign_in("olga")
    page = await browser.open(f"/people/{ids['idle']}")
    assert "Inactive." in page.text
    assert "<h1>idle</h1>" in page.text


async def test_who_is_out_of_reach_is_not_found(browser: Browser, ids: dict[str, int]) -> None:
    await browser.sign_in("olga")
    gone, foreign = (
        await browser.open("/people/987654321"),
        await browser.open(f"/people/{ids['gil']}"),
    )
    assert gone.status_code == foreign.status_code == 404
    assert (await browser.send(f"/people/{ids['gil']}/deactivate", {})).status_code == 404


@pytest.mark.parametrize("actor", ["ada", "olga", "mia", "vic"])
@pytest.mark.parametrize("target", ["olga", "otto", "mia", "vic", "idle", "ada"])
async def test_what_is_shown_is_not_refused_and_what_is_refused_is_not_shown(
    browser: Browser, ids: dict[str, int], actor: str, target: str
) -> None:
    await browser.sign_in(actor)
    path = f"/people/{ids[target]}"
    page = await browser.open(path)
    shown = set(ACTION.findall(page.text))
    makes_sense = {
        "activate": target == "idle",
        "deactivate": target != "idle",
        "link": target != "idle",
        "unlock": True,
    }
    for operation, sensible in makes_sense.items():
        answer = await browser.send(f"{path}/{operation}", {})
        if operation in shown:
            assert answer.status_code == 303, operation
        elif sensible:
            assert answer.status_code in {403, 404}, operation
        if operation in {"activate", "deactivate"} and answer.status_code == 303:
            await browser.send(f"{path}/{'activate' if target != 'idle' else 'deactivate'}", {})


async def test_deactivating_ends_the_sessions(browser: Browser, ids: dict[str, int]) -> None:
    mia = Browser(browser.client)
    await mia.sign_in("mia")
    await browser.sign_in("olga")
    answer = await browser.send(f"/people/{ids['mia']}/deactivate", {})
    assert answer.headers["location"] == f"/console/people/{ids['mia']}?done=deactivate"
    assert (await mia.open("/account")).status_code == 303
    assert "activate" in await offered(browser, ids["mia"])


async def test_a_weighty_role_needs_a_fresh_proof(
    browser: Browser, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.sign_in("olga")
    monkeypatch.setattr(proof, "VALID_FOR", 0)
    path, form = f"/people/{ids['mia']}/role", {"role": "owner"}
    asked = await browser.send(path, form)
    assert asked.status_code == 403
    assert 'name="role" value="owner"' in asked.text
    wrong = await browser.send(path, {**form, "proof": "not it"})
    assert wrong.status_code == 403
    assert "That is not your password." in wrong.text
    assert "not it" not in wrong.text
    former = browser.cookie
    done = await browser.send(path, {**form, "proof": PASSWORD})
    assert done.status_code == 303
    assert browser.cookie not in {"", former}
    assert "Owner of ACME" in (await browser.open(f"/people/{ids['mia']}")).text
    browser.cookie = former
    assert (await browser.open("/account")).status_code == 303


async def test_erasing_wants_the_name(browser: Browser, ids: dict[str, int]) -> None:
    await browser.sign_in("olga")
    refused = await browser.send(f"/people/{ids['vic']}/erase", {"name": "mia"})
    assert refused.status_code == 400
    assert "Nothing was erased" in refused.text
    done = await browser.send(f"/people/{ids['vic']}/erase", {"name": "vic"})
    assert done.status_code == 303
    assert (await browser.open(f"/people/{ids['vic']}")).status_code == 404


async def test_the_history_of_a_person(browser: Browser, ids: dict[str, int]) -> None:
    await browser.sign_in("olga")
    await browser.send(f"/people/{ids['mia']}/deactivate", {})
    page = await browser.open(f"/history?user={ids['mia']}&action=users.set_active")
    assert page.text.count("users.set_active</th>") == 1
    assert "olga" in page.text
    empty = await browser.open(f"/history?user={ids['mia']}&action=keys.rotate")
    assert "Nothing in this span" in empty.text
    assert (await browser.open("/history?since=nonsense&until=2026-13-40")).status_code == 200
