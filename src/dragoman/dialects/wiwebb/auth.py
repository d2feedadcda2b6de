"""WiWebb's authentication: sign in and out, register, the own profile and password."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import password_resets, sign_in, tokens, user_lists
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import answer, detail
from dragoman.dialects.wiwebb.schemas import part_of, user_out
from dragoman.dialects.wiwebb.users import change
from dragoman.rules import crypto
from dragoman.rules.credentials import Kind
from dragoman.rules.errors import Invalid, Problem
from dragoman.web import bodies, forms
from dragoman.web.calls import Call
from dragoman.web.forms import Field

KIND = Kind(contract="wiwebb", make=crypto.make_hex)

_LOGIN = {
    "username": Field(to="username", blank=False),
    "email": Field(to="email", blank=False),
    "password": Field(to="password", kind="secret", required=True, blank=False),
}


async def login(call: Call) -> Response:
    """POST auth/login/: by username or e-mail, in either field."""
    body = await bodies.fields(call.request)
    for name, other in (("username", "email"), ("email", "username")):
        if body.get(name) and body.get(other) in ("", None):
            body.pop(other, None)  # clients of the original send the other one empty
    values, problems = forms.read(body, _LOGIN)
    name = values.get("username") or values.get("email")
    if not name and not problems_of(problems, "username", "email"):
        problems.insert(0, Problem("username", "required"))
    if problems:
        raise Invalid(*problems)
    user, key = await sign_in.sign_in(
        call.directory, call.actor, str(name), values["password"], KIND
    )
    return answer(
        200, {"key": key.secret, "user": part_of(user, "id", "username", "email", "role")}
    )


def problems_of(problems: list[Problem], *fields: str) -> list[Problem]:
    """Return those of some fields."""
    return [problem for problem in problems if problem.field in fields]


async def logout(call: Call) -> Response:
    """POST auth/logout/: that token is dead."""
    async with call.begin() as tx:
        await tokens.sign_out(tx)
    return detail(200, "Successfully logged out.")


async def register(call: Call) -> Response:
    """POST auth/registration/."""
    sign_in.must_be_open(call.directory)
    call.names = {"password": "password1"}
    values, problems = forms.read(await bodies.fields(call.request), schemas.REGISTER)
    password = schemas.both(values, problems)
    new = schemas.new_user(values)
    user, key = await sign_in.sign_up(
        call.directory, call.actor, new, password, schemas.FLOOR, KIND, problems=problems
    )
    shown = part_of(user, "id", "username", "email", "first_name", "last_name")
    return answer(201, {"key": key.secret, "user": shown})


async def me(call: Call) -> Response:
    """GET auth/user/."""
    user = await user_lists.view(call.read(), call.actor.user_id)
    return answer(200, user_out(user))


async def put_me(call: Call) -> Response:
    """PUT auth/user/."""
    return answer(200, user_out(await change(call, call.actor.user_id, partial=False)))


async def patch_me(call: Call) -> Response:
    """PATCH auth/user/."""
    return answer(200, user_out(await change(call, call.actor.user_id, partial=True)))


async def change_password(call: Call) -> Response:
    """POST auth/password/change/: other sessions end, this one stays."""
    call.names = schemas.PAIR
    values, problems = forms.read(await bodies.fields(call.request), schemas.CHANGE)
    password = schemas.both(values, problems)
    current = values.get("current", "")
    await sign_in.change_password(
        call.directory, call.actor, current, password, schemas.FLOOR, problems=problems
    )
    return detail(200, "New password has been saved.")


async def request_reset(call: Call) -> Response:
    """POST auth/password/reset/: the same answer whoever it is."""
    values, problems = forms.read(await bodies.fields(call.request), schemas.RESET)
    if problems:
        raise Invalid(*problems)
    await password_resets.request_reset(call.directory, call.actor, values["email"])
    return detail(200, "Password reset e-mail has been sent.")


async def confirm_reset(call: Call) -> Response:
    """POST auth/password/reset/confirm/."""
    call.names = schemas.PAIR
    values, problems = forms.read(await bodies.fields(call.request), schemas.CONFIRM)
    password = schemas.both(values, problems)
    if problems_of(problems, "uid", "token"):
        raise Invalid(*problems)
    await password_resets.reset_password(
        call.directory,
        call.actor,
        values["uid"],
        values["token"],
        password,
        schemas.FLOOR,
        problems=problems,
    )
    return detail(200, "Password has been reset with the new password.")
