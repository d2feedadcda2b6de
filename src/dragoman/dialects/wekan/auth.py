"""Wekan's sign-in: by username or e-mail address, registering, and out again."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import sign_in, tokens
from dragoman.dialects.wekan import schemas
from dragoman.dialects.wekan.errors import answer
from dragoman.dialects.wekan.schemas import BODIES, FLOOR, moment, password_of, text_of
from dragoman.rules import crypto
from dragoman.rules.credentials import Credential, Kind
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.fields import Alphabet, trim
from dragoman.rules.model import DAY, User
from dragoman.web import bodies, forms
from dragoman.web.calls import Call

KIND = Kind(contract="wekan", make=crypto.make_urlsafe, lasts=90 * DAY)


def _entered(user: User, credential: Credential) -> Response:
    shown = {
        "id": user.public_id,
        "token": credential.secret,
        "tokenExpires": moment(credential.expires_at),
    }
    return answer(200, shown)


async def login(call: Call) -> Response:
    """POST /users/login: by username or e-mail address, in either field."""
    body = await bodies.fields(call.request, BODIES)
    problems: list[Problem] = []
    name = trim(text_of(body, "email", problems)) or trim(text_of(body, "username", problems))
    password = password_of(body, problems)
    if not name:
        problems.append(Problem("username", "blank"))
    if problems:
        raise Invalid(*problems)
    return _entered(*await sign_in.sign_in(call.directory, call.actor, name, password, KIND))


async def register(call: Call) -> Response:
    """POST /users/register: the first to come to a tenant without owners becomes its owner."""
    sign_in.must_be_open(call.directory)
    body = await bodies.fields(call.request, BODIES)
    problems: list[Problem] = []
    new = schemas.newcomer(body, problems)
    call.names = schemas.names_of(new)
    entered = await sign_in.sign_up(
        call.directory,
        call.actor,
        new,
        password_of(body, problems),
        FLOOR,
        KIND,
        alphabet=Alphabet.FREE,
        first_owns=call.directory.settings.first_user_is_admin,
        problems=problems,
    )
    return _entered(*entered)


async def logout(call: Call) -> Response:
    """POST /users/logout: that token is dead, with ``all`` every one of its user's."""
    body = await bodies.fields(call.request, BODIES)
    given = body.get("all")
    everywhere = False if given is None or given == "" else forms.boolean(given)
    if everywhere is None:
        raise Invalid(Problem("all", "not_boolean"))
    async with call.begin() as tx:
        await tokens.sign_out(tx, everywhere=everywhere)
    return answer(200, {"message": "You've been logged out!"})
