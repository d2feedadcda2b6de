"""Your account: what it shows, and the change of the password."""

from __future__ import annotations

import pytest

from tests.console.browser import Browser
from tests.support.world import PASSWORD

pytestmark = pytest.mark.anyio

NEW = "amber-Teapot-77-longer"


@pytest.mark.parametrize("name", ["ada", "olga", "mia", "vic"])
async def test_everybody_has_an_account(browser: Browser, name: str) -> None:
    await browser.sign_in(name)
    page = await browser.open("/account")
    assert page.status_code == 200
    assert f"<dd>{name}</dd>" in page.text


async def test_the_password_changes_and_this_session_stays(browser: Browser) -> None:
    await browser.sign_in("mia")
    form = {"current": PASSWORD, "password": NEW, "repeated": NEW}
    answer = await browser.send("/account/password", form)
    assert answer.headers["location"] == "/console/account?done=password"
    page = await browser.open("/account?done=password")
    assert "Your password is changed." in page.text
    browser.cookie = ""
    assert (await browser.sign_in("mia")).status_code == 401
    assert (await browser.sign_in("mia", NEW)).status_code == 303


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"current": "wrong", "password": NEW, "repeated": NEW}, "This is not your password."),
        ({"current": PASSWORD, "password": NEW, "repeated": "x"}, "have to be the same"),
        ({"current": PASSWORD, "password": "password1", "repeated": "password1"}, "attackers try"),
        ({}, "Fill this in."),
    ],
)
async def test_a_refused_change_says_why_at_the_field(
    browser: Browser, form: dict[str, str], message: str
) -> None:
    await browser.sign_in("mia")
    answer = await browser.send("/account/password", form)
    assert answer.status_code == 400
    assert message in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert NEW not in answer.text
