"""The page where a new password is set after a reset mail."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

from dragoman.actions import password_resets
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import MESSAGES
from dragoman.rules.errors import Invalid
from dragoman.web import bodies, html_pages
from dragoman.web.calls import Call
from dragoman.web.errors import messages_by_field
from dragoman.web.html_pages import HtmlPage

PAGE = HtmlPage(
    Path(__file__).with_name("reset_page.html"),
    title="Choose a new password",
    gone_text="It has been used, has expired, was replaced by a newer one, or was not copied"
    " completely. Request a new one.",
)


async def show(call: Call) -> Response:
    """GET /reset/{uid}/{secret}: the form, or the message that the link is no longer valid."""
    params = call.path_params
    await password_resets.get_link_owner(
        call.directory, call.actor, params["uid"], params["secret"]
    )
    return PAGE.render()


async def submit(call: Call) -> Response:
    """POST /reset/{uid}/{secret}: set the password."""
    params = call.path_params
    try:
        _, password, problems = schemas.parse_matching_passwords(
            await bodies.read_fields(call.request, html_pages.FORM_TYPES),
            schemas.SET_PASSWORD_TWICE,
        )
        await password_resets.reset_password(
            call.directory,
            call.actor,
            params["uid"],
            params["secret"],
            password,
            schemas.PASSWORD_RULES,
            problems=problems,
        )
    except Invalid as error:
        messages = messages_by_field(error.problems, MESSAGES, {"password": "password1"})
        return PAGE.render(400, messages=messages)
    except html_pages.UNREADABLE_BODY as error:
        return PAGE.render(html_pages.status_for(error), unreadable=True)
    return PAGE.render(title="Your new password is set", done=True)
