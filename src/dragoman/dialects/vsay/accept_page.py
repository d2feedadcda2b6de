"""The page where an invitation is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import Response

from dragoman.actions import invitations
from dragoman.actions.invitations import OpenInvitation
from dragoman.dialects.vsay import schemas
from dragoman.dialects.vsay.auth import CREDENTIAL_FORMAT
from dragoman.dialects.vsay.errors import field_errors
from dragoman.rules.errors import Invalid
from dragoman.web import bodies, html_pages
from dragoman.web.calls import Call
from dragoman.web.html_pages import HtmlPage

EXPIRED_CREDENTIAL_FORMAT = msgspec.structs.replace(
    CREDENTIAL_FORMAT, lifetime=1, refresh_lifetime=0
)
"""The page needs no session: the tokens that accepting issues expire at once."""

PAGE = HtmlPage(
    Path(__file__).with_name("accept_page.html"),
    title="Accept the invitation",
    gone_text="It has been used, has expired, was replaced by a newer one, was revoked, or was"
    " not copied completely. Ask the person who invited you for a new invitation.",
    conflict_text=(
        "This e-mail address is already in use",
        (
            "There is already a user with this e-mail address. Nothing was changed. If it is you,"
            " sign in as usual."
        ),
    ),
)


def _render_form(status: int, open_invitation: OpenInvitation, **extra: Any) -> Response:
    """Return the form with the invitation's data; ``extra`` is passed to the template."""
    invitation = open_invitation.invitation
    context: dict[str, Any] = {"name": invitation.name, **extra}
    return PAGE.render(
        status,
        email=invitation.email,
        role=schemas.ROLE_NAMES[invitation.role],
        organization=open_invitation.tenant.name,
        min_length=schemas.PASSWORD_RULES.min_length,
        **context,
    )


async def show(call: Call) -> Response:
    """GET /accept/{secret}: the form, or the message that the link is no longer valid."""
    open_invitation = await invitations.get_open(
        call.directory, call.actor, call.path_params["secret"]
    )
    return _render_form(200, open_invitation)


async def submit(call: Call) -> Response:
    """POST /accept/{secret}: accept the invitation."""
    secret = call.path_params["secret"]
    open_invitation = await invitations.get_open(call.directory, call.actor, secret)
    try:
        body = await bodies.read_fields(call.request, html_pages.FORM_TYPES)
    except html_pages.UNREADABLE_BODY as error:
        return _render_form(html_pages.status_for(error), open_invitation, unreadable=True)
    values, problems = schemas.parse_form(body, schemas.ACCEPT)
    name = values.get("name", "")
    try:
        user, _ = await invitations.accept(
            call.directory,
            call.actor,
            secret,
            values.get("password", ""),
            name,
            schemas.PASSWORD_RULES,
            EXPIRED_CREDENTIAL_FORMAT,
            problems=problems,
        )
    except Invalid as error:
        return _render_form(
            400, open_invitation, messages=field_errors(error, call.field_names), name=name
        )
    return PAGE.render(
        title="Welcome", done=True, email=user.email, organization=open_invitation.tenant.name
    )
