"""The page behind an invitation's link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import Response

from dragoman.actions import invitations
from dragoman.actions.steps.open_invitations import Shown
from dragoman.dialects.vsay import schemas
from dragoman.dialects.vsay.auth import KIND
from dragoman.dialects.vsay.errors import by_field
from dragoman.rules.errors import Invalid
from dragoman.web import bodies, html_pages
from dragoman.web.calls import Call
from dragoman.web.html_pages import Leaf

UNUSED = msgspec.structs.replace(KIND, lasts=1, refresh_lasts=0)
"""A page has no use for a session: the one that acceptance opens ends as it begins."""

LEAF = Leaf(
    Path(__file__).with_name("accept.html"),
    title="Accept the invitation",
    dead="It was used, or it is too old, or a newer one was sent, or it was taken back, or it was"
    " not copied to its end. Ask whoever invited you for another one.",
    taken=(
        "You are a user already",
        (
            "Somebody has this e-mail address by now. Nothing was changed. If it is you, sign in as"
            " ever."
        ),
    ),
)


def _form(status: int, found: Shown, **shown: Any) -> Response:
    """Show the form again or for the first time, with what the invitation says."""
    made = found.invitation
    told: dict[str, Any] = {"name": made.name, **shown}
    return LEAF.show(
        status,
        email=made.email,
        role=schemas.WORDS[made.role],
        organization=found.tenant.name,
        least=schemas.FLOOR.minimum,
        **told,
    )


async def show(call: Call) -> Response:
    """GET /accept/{secret}: the form, or word that the link is of no use any more."""
    found = await invitations.show(call.directory, call.actor, call.params["secret"])
    return _form(200, found)


async def submit(call: Call) -> Response:
    """POST /accept/{secret}: become a user."""
    secret = call.params["secret"]
    found = await invitations.show(call.directory, call.actor, secret)
    try:
        body = await bodies.fields(call.request, html_pages.FORMS)
    except html_pages.UNREAD as fault:
        return _form(html_pages.status_of(fault), found, unread=True)
    values, problems = schemas.read(body, schemas.ACCEPT)
    name = values.get("name", "")
    try:
        user, _ = await invitations.accept(
            call.directory,
            call.actor,
            secret,
            values.get("password", ""),
            name,
            schemas.FLOOR,
            UNUSED,
            problems=problems,
        )
    except Invalid as fault:
        return _form(400, found, problems=by_field(call, fault.problems), name=name)
    return LEAF.show(title="Welcome", done=True, email=user.email, organization=found.tenant.name)
