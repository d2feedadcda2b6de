"""Signing in and out of the console, its cookie, and who may send its forms."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.settings import Settings
from tests.console.browser import Browser
from tests.support.running_app import running_client

pytestmark = pytest.mark.anyio

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


async def test_a_sign_in_leads_to_the_page_that_was_asked_for(browser: Browser) -> None:
    asked = await browser.open("/people?q=mia")
    assert (asked.status_code, asked.headers["location"]) == (
        303,
        "/console/sign-in?next=%2Fpeople%3Fq%3Dmia",
    )
    form = {"name": "olga", "password": "violet-Kettle-42", "next": "/people?q=mia"}
    answer = await browser.send("/sign-in", form)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert cookie.endswith("; Max-Age=43200; Path=/; Secure; HttpOnly; SameSite=Strict")
    checked = await browser.open(answer.headers["location"].removeprefix("/console"))
    assert (checked.status_code, checked.headers["location"]) == (303, "/console/people?q=mia")
    page = await browser.open("/people?q=mia")
    assert page.status_code == 200
    assert "Mia Marsh" in page.text


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example/", "/../../wekan", "/x\r\nSet-Cookie: a=b"]
)
async def test_a_sign_in_leads_nowhere_else(browser: Browser, place: str) -> None:
    form = {"name": "olga", "password": "violet-Kettle-42", "next": place}
    answer = await browser.send("/sign-in", form)
    assert answer.headers["location"] == "/console/sign-in/check"


@pytest.mark.parametrize("name", ["olga", "nobody-here", "idle"])
async def test_a_refused_sign_in_says_one_sentence_for_all_causes(
    browser: Browser, name: str
) -> None:
    answer = await browser.sign_in(name, "wrong" if name == "olga" else "violet-Kettle-42")
    assert answer.status_code == 401
    assert "That name and password do not open the console." in answer.text
    assert f'value="{name}"' in answer.text
    assert "violet-Kettle-42" not in answer.text
    assert not browser.cookie


async def test_a_cookie_that_the_browser_has_dropped_is_told(browser: Browser) -> None:
    answer = await browser.sign_in("olga")
    browser.cookie = ""
    checked = await browser.open(answer.headers["location"].removeprefix("/console"))
    assert checked.status_code == 401
    assert "use HTTPS, or localhost (or, there, another browser)" in checked.text


async def test_a_link_of_another_site_finds_the_session(browser: Browser) -> None:
    """A strict cookie is not sent with it: the page asks again from here, once."""
    first = await browser.open("/sign-in", **{"Sec-Fetch-Site": "cross-site"})
    assert '<meta http-equiv="refresh" content="0">' in first.text
    again = await browser.open("/sign-in", **{"Sec-Fetch-Site": "same-origin"})
    assert "http-equiv" not in again.text


async def test_pages_have_their_headers(browser: Browser) -> None:
    await browser.sign_in("olga")
    for path in ("/sign-in", "/", "/people", "/account", "/no-such-page"):
        page = await browser.open(path)
        if page.status_code == 303:
            continue
        assert page.headers["content-security-policy"] == CSP, path
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://127.0.0.1:8000"}, 303),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8000"}, 403),
        ({}, 403),
    ],
)
async def test_a_form_of_another_site_changes_nothing(
    browser: Browser, headers: dict[str, str], status: int
) -> None:
    await browser.sign_in("olga")
    answer = await browser.send("/account/sessions", {}, headers)
    assert answer.status_code == status
    alive = (await browser.open("/account")).status_code == 200
    assert alive is (status == 403)


async def test_signing_out_ends_the_session(browser: Browser) -> None:
    await browser.sign_in("olga")
    former = browser.cookie
    answer = await browser.send("/sign-out", {})
    assert answer.headers["location"] == "/console/sign-in"
    assert not browser.cookie
    browser.cookie = former
    assert (await browser.open("/account")).status_code == 303


async def test_a_form_after_the_end_of_the_session_says_so(browser: Browser) -> None:
    answer = await browser.send("/account/password", {"current": "x"})
    assert answer.status_code == 401
    assert "Your session has ended" in answer.text


async def test_a_session_of_the_console_is_no_credential_elsewhere(browser: Browser) -> None:
    await browser.sign_in("olga")
    client = browser.client
    headers = {"Authorization": f"Token {browser.cookie}"}
    assert (await client.get("/wiwebb/api/v1/auth/user/", headers=headers)).status_code == 401


async def test_there_is_no_console_where_it_is_off(settings: Settings) -> None:
    changed = msgspec.structs.replace(settings, console=False)
    async with running_client(changed) as client:
        assert (await client.get("/console/")).status_code == 404
        assert (await client.get("/console/sign-in")).status_code == 404


async def test_a_host_of_one_contract_has_no_console(settings: Settings) -> None:
    changed = msgspec.structs.replace(settings, hosts={"wekan.example.com": "wekan"})
    async with running_client(changed) as client:
        answer = await client.get("/console/sign-in", headers={"Host": "wekan.example.com"})
        assert answer.status_code == 404
        assert "text/html" not in answer.headers.get("content-type", "")
