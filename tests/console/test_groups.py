"""Groups: members, what they hold, and what is refused in words."""

from __future__ import annotations

import re

import pytest

from tests.console.browser import Browser
from tests.support.world import World

pytestmark = pytest.mark.anyio

ACTION = re.compile(r'action="/console/groups/\d+/(\w+)"')


@pytest.fixture
def ids(seeded_database: tuple[str, World]) -> dict[str, int]:
    """The ids of the people of the world, by name."""
    return {name: person.id for name, person in seeded_database[1].people.items()}


async def create(browser: Browser, name: str = "Helpers", **form: str) -> str:
    answer = await browser.send("/groups", {"name": name, **form})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix("/console").partition("?")[0]


async def test_the_life_of_a_group(browser: Browser, ids: dict[str, int]) -> None:
    await browser.sign_in("olga")
    assert "No groups yet" in (await browser.open("/groups")).text
    path = await create(browser)
    assert (await browser.send(f"{path}/permit", {"permission": "users.create"})).status_code == 303
    added = await browser.send(f"{path}/add", {"username": "mia"})
    assert added.headers["location"].endswith("?done=add")
    again = await browser.send(f"{path}/add", {"username": "mia"})
    assert again.headers["location"].endswith("?done=same")
    text = (await browser.open(path)).text
    assert "Can create users" in text
    assert f'value="{ids["mia"]}"' in text
    listed = (await browser.open("/groups?q=help")).text
    assert "<strong>1 group</strong>" in listed
    assert 'data-label="Members">1<' in listed
    assert "users.create" in listed
    assert "No group matches" in (await browser.open("/groups?q=nothing")).text
    await browser.send(f"{path}/remove", {"user": str(ids["mia"])})
    await browser.send(f"{path}/forbid", {"permission": "users.create"})
    text = (await browser.open(path)).text
    assert "No members yet." in text
    assert "Nothing yet" in text
    assert (await browser.send(f"{path}/delete", {})).status_code == 303
    assert (await browser.open(path)).status_code == 404


async def test_the_tenant_is_typed(browser: Browser) -> None:
    await browser.sign_in("ada")
    wrong = await browser.send("/groups", {"name": "Kept", "tenant": "nowhere"})
    assert wrong.status_code == 400
    assert 'value="nowhere"' in wrong.text
    assert 'id="tenant-wrong"' in wrong.text
    await create(browser, tenant="globex")
    await create(browser, "Others", tenant="ACME Corporation")
    assert "<strong>2 groups</strong>" in (await browser.open("/groups")).text
    page = await browser.open("/groups?tenant=globex")
    assert "Helpers" in page.text
    assert "Others" not in page.text
    assert "There is no tenant" in (await browser.open("/groups?tenant=nowhere")).text


async def test_errors_are_at_the_field(browser: Browser) -> None:
    await browser.sign_in("olga")
    path = await create(browser)
    taken = await browser.send("/groups", {"name": "helpers"})
    assert "This is taken already." in taken.text
    for username in ("nobody", "gil", ""):
        answer = await browser.send(f"{path}/add", {"username": username})
        assert answer.status_code == 400
        assert "There is no such person." in answer.text
    assert (await browser.send(f"{path}/permit", {"permission": "junk"})).status_code == 400
    await browser.sign_in("ada")
    foreign = await browser.send(f"{path}/add", {"username": "gil"})
    assert "does not belong to the group&#39;s tenant" in foreign.text
    assert 'value="gil"' in foreign.text


async def test_a_higher_member_and_what_one_lacks_are_refused_in_words(
    browser: Browser, ids: dict[str, int]
) -> None:
    await browser.sign_in("olga")
    path, other = await create(browser), await create(browser, "Assigners")
    await browser.send(f"{other}/permit", {"permission": "permissions.assign"})
    await browser.send(f"{other}/add", {"username": "mia"})
    await browser.send(f"{path}/add", {"username": "otto"})
    await browser.sign_in("mia")
    page = await browser.open(path)
    assert "A member ranks higher than you do" in page.text
    assert set(ACTION.findall(page.text)) == {"add"}
    form = {"permission": "permissions.assign", "user": str(ids["otto"])}
    for operation in ("delete", "permit", "remove"):
        answer = await browser.send(f"{path}/{operation}", form)
        assert answer.status_code == 400, operation
        assert "A higher-ranking person is concerned" in answer.text
    lacked = await browser.send(f"{other}/permit", {"permission": "users.delete"})
    assert "You cannot give or take what you do not have" in lacked.text
    assert 'value="users.delete"' not in lacked.text
    assert set(ACTION.findall(lacked.text)) == {"add", "remove", "forbid", "delete"}


@pytest.mark.parametrize("actor", ["gil", "mia", "vic"])
async def test_groups_out_of_reach(browser: Browser, actor: str) -> None:
    await browser.sign_in("olga")
    path = await create(browser)
    await browser.sign_in(actor)
    expected = 404 if actor == "gil" else 403
    assert (await browser.open(path)).status_code == expected
    for operation in ("add", "remove", "permit", "forbid", "delete"):
        answer = await browser.send(f"{path}/{operation}", {"username": "mia"})
        assert answer.status_code == expected, operation
    listed = await browser.open("/groups")
    assert listed.status_code == (200 if actor == "gil" else 403)
    assert "Helpers" not in listed.text
    assert ("/console/groups" in (await browser.open("/account")).text) is (actor == "gil")
