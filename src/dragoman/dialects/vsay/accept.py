"""The page behind an invitation's link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import Response

from dragoman.actions import invitations
from dragoman.actions.steps.open_invitations import OpenInvitation
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
"""A page has no use for a session: the one that acceptance opens ends as it begins."""

PAGE = HtmlPage(
    Path(__file__).with_name("accept.html"),
    title="Accept the invitation",
    gone_text="It was used, or it is too old, or a newer one was sent, or it was taken back, or it was"
    " not copied to its end. Ask whoever invited you for another one.",
    conflict_text=(
        "You are a user already",
        (
            "Somebody has this e-mail address by now. Nothing was changed. If it is you, sign in as"
            " ever."
        ),
    ),
)


def _render_form(status: int, open_invitation: OpenInvitation, **extra: Any) -> Response:
    """Show the form again or for the first time, with what the invitation says."""
    invitation = open_invitation.invitation
    context: dict[str, Any] = {"name": invitation.name, **extra}
    return PAGE.render(
        status,
        email=invitation.email,
        role=schemas.ROLE_NAMES[invitation.role],
        organization=open_invitation.tenant.name,
        least=schemas.PASSWORD_RULES.min_length,
        **context,
    )


async def show(call: Call) -> Response:
    """GET /accept/{secret}: the form, or word that the link is of no use any more."""
    open_invitation = await invitations.get_open(
        call.directory, call.actor, call.path_params["secret"]
    )
    return _render_form(200, open_invitation)


async def submit(call: Call) -> Response:
    """POST /accept/{secret}: become a user."""
    secret = call.path_params["secret"]
    open_invitation = await invitations.get_open(call.directory, call.actor, secret)
    try:
        body = await bodies.read_fields(call.request, html_pages.FORM_TYPES)
    except html_pages.UNREADABLE_BODY as error:
        return _render_form(html_pages.status_for(error), open_invitation, unread=True)
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
            400, open_invitation, problems=field_errors(call, error.problems), name=name
        )
    return PAGE.render(
        title="Welcome", done=True, email=user.email, organization=open_invitation.tenant.name
    )
