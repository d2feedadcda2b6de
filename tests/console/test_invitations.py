"""Invitations: the list, the form, resending and revoking, and who may do so."""

from __future__ import annotations

import re

import pytest

from tests.console.browser import Browser

pytestmark = pytest.mark.anyio

FORM = {"email": "new@people.test", "name": "New Person", "role": "member"}
RESEND = re.compile(r'action="/console(/invitations/\w+/resend)"')


async def test_an_owner_invites_resends_and_revokes(browser: Browser) -> None:
    await browser.sign_in("olga")
    empty = await browser.open("/invitations")
    assert "Invite the first" in empty.text
    assert 'data-key="n" href="/console/invitations/new"' in empty.text
    answer = await browser.send("/invitations", FORM)
    assert answer.headers["location"] == "/console/invitations?done=invite"
    page = await browser.open("/invitations?done=invite")
    assert "The invitation is on its way." in page.text
    assert "1 invitation<" in page.text
    assert "new@people.test" in page.text
    assert "Waits" in page.text
    path = RESEND.findall(page.text)[0]
    answer = await browser.send(path, {})
    assert answer.headers["location"] == "/console/invitations?done=resend"
    revoke = path.replace("resend", "revoke")
    answer = await browser.send(revoke, {})
    assert answer.headers["location"] == "/console/invitations?done=revoke"
    page = await browser.open("/invitations")
    assert "Revoked" in page.text
    assert not RESEND.search(page.text)
    again = await browser.send(revoke, {})
    assert again.status_code == 400
    assert "This invitation is not pending any more." in again.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"email": ""}, "Fill this in."),
        ({"email": "not-an-address"}, "This is not an e-mail address."),
        ({"email": "mia@acme.test"}, "belongs to a person who is here already"),
        ({"role": "superadmin"}, "Choose one of the list."),
        ({"role": "nonsense"}, "Choose one of the list."),
    ],
)
async def test_a_refused_invitation_says_why_and_keeps_what_was_typed(
    browser: Browser, changes: dict[str, str], message: str
) -> None:
    await browser.sign_in("olga")
    answer = await browser.send("/invitations", {**FORM, **changes})
    assert answer.status_code == 400
    assert message in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert 'value="New Person"' in answer.text
    assert "No invitation yet" in (await browser.open("/invitations")).text


async def test_a_second_invitation_to_an_address_is_refused(browser: Browser) -> None:
    await browser.sign_in("olga")
    await browser.send("/invitations", FORM)
    answer = await browser.send("/invitations", FORM)
    assert "An invitation to this address is pending." in answer.text


@pytest.mark.parametrize("tenant", ["", "no-such-tenant"])
async def test_an_administrator_has_to_name_a_tenant(browser: Browser, tenant: str) -> None:
    await browser.sign_in("ada")
    form = await browser.open("/invitations/new")
    assert '<option value="globex">Globex</option>' in form.text
    answer = await browser.send("/invitations", {**FORM, "tenant": tenant})
    assert answer.status_code == 400
    assert 'id="tenant-wrong"' in answer.text


async def test_an_invitation_is_seen_in_its_tenant_alone(browser: Browser) -> None:
    await browser.sign_in("ada")
    answer = await browser.send("/invitations", {**FORM, "tenant": "globex"})
    assert answer.status_code == 303
    path = RESEND.findall((await browser.open("/invitations")).text)[0]
    await browser.sign_in("gil")
    assert "new@people.test" in (await browser.open("/invitations")).text
    await browser.sign_in("olga")
    assert "new@people.test" not in (await browser.open("/invitations")).text
    assert (await browser.send(path.replace("resend", "revoke"), {})).status_code == 400
    await browser.sign_in("gil")
    assert RESEND.search((await browser.open("/invitations")).text)


async def test_an_owner_cannot_invite_to_another_tenant(browser: Browser) -> None:
    await browser.sign_in("olga")
    assert 'name="tenant"' not in (await browser.open("/invitations/new")).text
    for tenant in ("globex", "no-such-tenant"):
        answer = await browser.send("/invitations", {**FORM, "tenant": tenant})
        assert answer.status_code == 404


@pytest.mark.parametrize("name", ["mia", "vic"])
async def test_who_may_not_invite_sees_nothing_of_it(browser: Browser, name: str) -> None:
    await browser.sign_in(name)
    assert "/console/invitations" not in (await browser.open("/account")).text
    assert (await browser.open("/invitations")).status_code == 403
    assert (await browser.open("/invitations/new")).status_code == 403
    assert (await browser.send("/invitations", FORM)).status_code == 403
    assert (await browser.send("/invitations/x/revoke", {})).status_code == 403


async def test_a_form_of_another_site_invites_nobody(browser: Browser) -> None:
    await browser.sign_in("olga")
    answer = await browser.send("/invitations", FORM, {"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "No invitation yet" in (await browser.open("/invitations")).text


async def test_a_page_beyond_the_last_leads_back(browser: Browser) -> None:
    await browser.sign_in("olga")
    await browser.send("/invitations", FORM)
    assert "Show the newest of 1" in (await browser.open("/invitations?page=99999999999")).text
