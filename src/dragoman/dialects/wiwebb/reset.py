"""The page behind the link of a reset mail."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

from dragoman.actions import password_resets
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import message_for
from dragoman.rules.errors import Invalid
from dragoman.web import bodies, forms, html_pages
from dragoman.web.calls import Call
from dragoman.web.html_pages import HtmlPage

PAGE = HtmlPage(
    Path(__file__).with_name("reset.html"),
    title="Choose a new password",
    gone_text="It was used, or it is too old, or a newer one was sent, or it was not copied to its end."
    " Ask for another one.",
)


async def show(call: Call) -> Response:
    """GET /reset/{uid}/{secret}: the form, or word that the link is of no use any more."""
    params = call.path_params
    await password_resets.get_link_owner(
        call.directory, call.actor, params["uid"], params["secret"]
    )
    return PAGE.render()


async def submit(call: Call) -> Response:
    """POST /reset/{uid}/{secret}: set the password."""
    params = call.path_params
    try:
        values, problems = forms.parse(
            await bodies.read_fields(call.request, html_pages.FORM_TYPES),
            schemas.SET_PASSWORD_TWICE,
        )
        await password_resets.reset_password(
            call.directory,
            call.actor,
            params["uid"],
            params["secret"],
            schemas.matching_passwords(values, problems),
            schemas.PASSWORD_RULES,
            problems=problems,
        )
    except Invalid as error:
        return PAGE.render(400, problems=_field_errors(error))
    except html_pages.UNREADABLE_BODY as error:
        return PAGE.render(html_pages.status_for(error), unread=True)
    return PAGE.render(title="Your new password is set", done=True)


def _field_errors(error: Invalid) -> dict[str, list[str]]:
    """Return what is wrong with each of the two fields, in words."""
    messages_by_field: dict[str, list[str]] = {"first": [], "second": []}
    for problem in error.problems:
        messages = messages_by_field["second" if problem.field == "password2" else "first"]
        if (message := message_for(problem)) not in messages:
            messages.append(message)
    return messages_by_field
