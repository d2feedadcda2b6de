"""The page behind the link of a reset mail."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

from dragoman.actions import password_resets
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import sentence
from dragoman.rules.errors import Invalid
from dragoman.web import bodies, forms, html_pages
from dragoman.web.calls import Call
from dragoman.web.html_pages import Leaf

LEAF = Leaf(
    Path(__file__).with_name("reset.html"),
    title="Choose a new password",
    dead="It was used, or it is too old, or a newer one was sent, or it was not copied to its end."
    " Ask for another one.",
)


async def show(call: Call) -> Response:
    """GET /reset/{uid}/{secret}: the form, or word that the link is of no use any more."""
    params = call.params
    await password_resets.reset_owner(call.directory, call.actor, params["uid"], params["secret"])
    return LEAF.show()


async def submit(call: Call) -> Response:
    """POST /reset/{uid}/{secret}: set the password."""
    params = call.params
    try:
        values, problems = forms.read(
            await bodies.fields(call.request, html_pages.FORMS), schemas.SET_PASSWORD_TWICE
        )
        await password_resets.reset_password(
            call.directory,
            call.actor,
            params["uid"],
            params["secret"],
            schemas.both(values, problems),
            schemas.FLOOR,
            problems=problems,
        )
    except Invalid as fault:
        return LEAF.show(400, problems=_by_field(fault))
    except html_pages.UNREAD as fault:
        return LEAF.show(html_pages.status_of(fault), unread=True)
    return LEAF.show(title="Your new password is set", done=True)


def _by_field(fault: Invalid) -> dict[str, list[str]]:
    """Return what is wrong with each of the two fields, in words."""
    told: dict[str, list[str]] = {"first": [], "second": []}
    for problem in fault.problems:
        sentences = told["second" if problem.field == "password2" else "first"]
        if (said := sentence(problem)) not in sentences:
            sentences.append(said)
    return told
