"""Pages of the directory itself, behind mailed links: prove an address, set a password, undo.

They are served below ``/account``, whatever contracts are served. Without a secret in its path, a
page only mails a lost link again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from dragoman.actions import email_addresses, password_resets
from dragoman.actions.directory import Directory
from dragoman.actions.steps.mailed_links import PASSWORD, UNDO, VERIFY
from dragoman.rules import crypto, errors
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import CredentialFormat
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import UNRESTRICTED
from dragoman.web import bodies, drf, html_pages
from dragoman.web.calls import Call, Contract, Endpoint
from dragoman.web.errors import messages_by_field
from dragoman.web.html_pages import HtmlPage
from dragoman.web.resource import NotFoundResource, Resource
from dragoman.web.routing import ContractApp

NAME = "account"
PREFIX = f"/{NAME}"
MAIL_LINKS = {kind: f"{PREFIX}/{kind}/{{public_id}}{{secret}}" for kind in (VERIFY, PASSWORD, UNDO)}
"""The pages that links in mails open, by the kind of the mail (see ``Directory``)."""

PASSWORD_RULES = PasswordRules(
    min_length=8, reject_common=True, reject_numeric=True, reject_similar=True
)
_TEMPLATE = Path(__file__).with_name("account_page.html")
_CONFLICT_TEXT = (
    "Somebody else has this e-mail address now",
    (
        "The address was given to another account meanwhile, so it cannot be brought back."
        " Nothing was changed. Please ask the operator of this service."
    ),
)
_SENT_TEXT = "If there is a link for this address, it is on its way. Please look into your mailbox."


def _page(kind: str, title: str, *, lost_label: str = "Your e-mail address") -> HtmlPage:
    return HtmlPage(
        _TEMPLATE,
        title=title,
        gone_text="It has been used, has expired, was replaced by a newer one, or was not copied"
        " completely. You can have a new one mailed to you.",
        conflict_text=_CONFLICT_TEXT,
        defaults={
            "kind": kind,
            "lost_label": lost_label,
            "lost_summary": "Mail me a new link",
            "opens_lost": True,
        },
    )


PAGES = {
    VERIFY: _page(VERIFY, "Confirm your e-mail address"),
    PASSWORD: _page(PASSWORD, "Choose a password"),
    UNDO: _page(
        UNDO, "Bring your e-mail address back", lost_label="The e-mail address that you had"
    ),
}
LINK_SENDERS: dict[str, Callable[[Directory, Actor, str], Awaitable[None]]] = {
    VERIFY: email_addresses.resend_verification,
    PASSWORD: partial(password_resets.request_reset, kind=PASSWORD),
    UNDO: email_addresses.resend_undo,
}
"""The actions that mail a lost link again to an address."""


def _handle_unknown_path(_: Call, error: Exception) -> Response:
    is_unknown = isinstance(error, errors.NotFound)
    title = "Not found" if is_unknown else "Temporarily unavailable"
    status = 404 if is_unknown else 429 if isinstance(error, errors.RateLimited) else 503
    return PAGES[VERIFY].render(status, title=title, notice="There is no such page.", ended=True)


CONTRACT = Contract(
    name=NAME,
    scheme="",
    credential_format=CredentialFormat(contract=NAME),
    restrictions=UNRESTRICTED,
    handle_error=_handle_unknown_path,
)
"""What the web layer needs to know of the pages; they accept no credential."""


def routes(directory: Directory) -> list[BaseRoute]:
    """Return the routes of the pages."""
    found: list[Route] = []
    for kind, page in PAGES.items():
        contract = page.with_page_errors(CONTRACT)
        send = Endpoint(partial(_send_link, kind), public=True)
        lost = Resource(
            directory, contract, GET=Endpoint(partial(_ask_address, kind), public=True), POST=send
        )
        resource = Resource(
            directory,
            contract,
            GET=Endpoint(partial(_show, kind), public=True),
            POST=Endpoint(partial(_submit, kind), public=True),
        )
        found += [Route(f"/{kind}", lost), Route(f"/{kind}/{{secret}}", resource)]
    return [Mount(PREFIX, ContractApp(found, NotFoundResource(directory, CONTRACT)))]


async def _ask_address(kind: str, _: Call) -> Response:
    """GET /account/KIND: the form that mails a lost link again."""
    return PAGES[kind].render()


async def _send_link(kind: str, call: Call) -> Response:
    """POST /account/KIND: mail a lost link again."""
    try:
        return await _mail_again(
            kind, call, await bodies.read_fields(call.request, html_pages.FORM_TYPES)
        )
    except html_pages.UNREADABLE_BODY as error:
        return PAGES[kind].render(html_pages.status_for(error), unreadable=True)


async def _mail_again(kind: str, call: Call, body: dict[str, Any]) -> Response:
    """Mail a lost link again; the response is the same for known and unknown addresses."""
    address = body.get("email")
    try:
        if not isinstance(address, str) or not address.strip():
            raise Invalid(Problem("email", "required"))
        await LINK_SENDERS[kind](call.directory, call.actor, address)
    except Invalid as error:
        messages = messages_by_field(error.problems, drf.MESSAGES, {})
        return PAGES[kind].render(400, lost_messages=messages["email"])
    return PAGES[kind].render(title="Look into your mailbox", notice=_SENT_TEXT, ended=True)


async def _show(kind: str, call: Call) -> Response:
    """GET /account/KIND/SECRET: the form, or the message that the link is no longer valid."""
    return PAGES[kind].render(**await _form(kind, call))


async def _form(kind: str, call: Call) -> dict[str, Any]:
    """Return the variables of a page's form. Raises InvalidLink, or Taken."""
    directory, visitor, secret = call.directory, call.actor, call.path_params["secret"]
    if kind == VERIFY:
        user = await email_addresses.get_unproven(directory, visitor, secret)
        return {"email": user.email, "opens_lost": False}
    if kind == UNDO:
        _, former_email = await email_addresses.get_changed(directory, visitor, secret)
        return {"email": former_email, "opens_lost": False}
    await password_resets.get_link_owner(directory, visitor, *_split(secret))
    return {"asks_password": True, "opens_lost": False}


def _split(secret: str) -> tuple[str, str]:
    """Return the user's public id and the one-time secret of a link."""
    return secret[: crypto.PUBLIC_ID_LENGTH], secret[crypto.PUBLIC_ID_LENGTH :]


async def _submit(kind: str, call: Call) -> Response:
    """POST /account/KIND/SECRET: use the link; with an e-mail address, mail a lost one again."""
    try:
        body = await bodies.read_fields(call.request, html_pages.FORM_TYPES)
    except html_pages.UNREADABLE_BODY as error:
        form = await _form(kind, call)
        return PAGES[kind].render(html_pages.status_for(error), unreadable=True, **form)
    if "email" in body:
        return await _mail_again(kind, call, body)
    return await _ACTIONS[kind](call, body)


async def _verify(call: Call, _: dict[str, Any]) -> Response:
    secret = call.path_params["secret"]
    user = await email_addresses.verify(call.directory, call.actor, secret)
    notice = f"{user.email} is confirmed as your e-mail address."
    return PAGES[VERIFY].render(title="Thank you", notice=notice, ended=True)


async def _undo(call: Call, _: dict[str, Any]) -> Response:
    secret = call.path_params["secret"]
    user, reset_secret = await email_addresses.undo_change(call.directory, call.actor, secret)
    return PAGES[PASSWORD].render(
        asks_password=True, restored=user.email, action=f"../{PASSWORD}/{reset_secret}", ended=True
    )


async def _set_password(call: Call, body: dict[str, Any]) -> Response:
    problems: list[Problem] = []
    password, repeated = (body.get(name) for name in ("password", "repeated_password"))
    if not isinstance(password, str) or not password:
        password = ""
        problems.append(Problem("password1", "required"))
    elif repeated != password:
        problems.append(Problem("password2", "mismatch"))
    try:
        await password_resets.reset_password(
            call.directory,
            call.actor,
            *_split(call.path_params["secret"]),
            password,
            PASSWORD_RULES,
            problems=problems,
        )
    except Invalid as error:
        messages = messages_by_field(error.problems, drf.MESSAGES, {"password": "password1"})
        return PAGES[PASSWORD].render(400, messages=messages, asks_password=True, opens_lost=False)
    return PAGES[PASSWORD].render(
        title="Your new password is set",
        notice="All sessions have been signed out. Sign in with the new password.",
        ended=True,
    )


_ACTIONS: dict[str, Callable[[Call, dict[str, Any]], Awaitable[Response]]] = {
    VERIFY: _verify,
    PASSWORD: _set_password,
    UNDO: _undo,
}
"""What each page does with its link."""
