"""Signing up and in, at the accounts contract."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import permissions, sign_in, tokens
from dragoman.actions.permissions import NOTHING
from dragoman.dialects.accounts import schemas
from dragoman.dialects.accounts.errors import answer
from dragoman.rules import crypto
from dragoman.rules.credentials import Kind
from dragoman.rules.errors import Invalid
from dragoman.web import bodies, forms
from dragoman.web.calls import Call

KIND = Kind(contract="accounts", make=crypto.make_hex)


async def sign_up(call: Call) -> Response:
    """POST /api/users/signup: a plain member of the settings' tenant; no token comes with it."""
    sign_in.must_be_open(call.directory)
    values, problems = forms.read(await bodies.fields(call.request), schemas.SIGN_UP)
    password = values.pop("password", "")
    new = schemas.new_user(values)
    user, _ = await sign_in.sign_up(
        call.directory, call.actor, new, password, schemas.FLOOR, None, problems=problems
    )
    return answer(201, schemas.user_out(user, NOTHING))


async def enter(call: Call) -> Response:
    """POST /api/users/signin: by username or e-mail address; a new token each time."""
    values, problems = forms.read(await bodies.fields(call.request), schemas.SIGN_IN)
    if problems:
        raise Invalid(*problems)
    user, given = await sign_in.sign_in(
        call.directory, call.actor, values["username"], values["password"], KIND
    )
    # What one has been granted is shown to whom it belongs, no longer to a visitor.
    call.actor, call.user = await tokens.signed_in(call.directory, call.actor, user), user
    held = await permissions.held(call.read(), [user])
    return answer(200, schemas.signed_in_out(user, held[user.id], given.secret))
