"""WiWebb's authentication: sign in and out, register, the own profile and password."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import password_resets, sign_in, tokens, user_lists
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import detail_response, json_response
from dragoman.dialects.wiwebb.schemas import pick, user_out
from dragoman.dialects.wiwebb.users import update_profile
from dragoman.rules import crypto
from dragoman.rules.credentials import CredentialFormat
from dragoman.rules.errors import Invalid, Problem
from dragoman.web import bodies, forms
from dragoman.web.calls import Call
from dragoman.web.forms import Field

CREDENTIAL_FORMAT = CredentialFormat(contract="wiwebb", generate=crypto.generate_hex)

LOGIN = {
    "username": Field(name="username", blank=False),
    "email": Field(name="email", blank=False),
    "password": Field(name="password", data_type="secret", required=True, blank=False),
}


async def login(call: Call) -> Response:
    """POST auth/login/: by username or e-mail, in either field."""
    body = await bodies.read_fields(call.request)
    for name, other in (("username", "email"), ("email", "username")):
        if body.get(name) and body.get(other) in ("", None):
            body.pop(other, None)  # clients of the original send the other one empty
    values, problems = forms.parse(body, LOGIN)
    name = values.get("username") or values.get("email")
    if not name and not problems_of_fields(problems, "username", "email"):
        problems.insert(0, Problem("username", "required"))
    if problems:
        raise Invalid(*problems)
    user, credential = await sign_in.sign_in(
        call.directory, call.actor, str(name), values["password"], CREDENTIAL_FORMAT
    )
    return json_response(
        200, {"key": credential.secret, "user": pick(user, "id", "username", "email", "role")}
    )


def problems_of_fields(problems: list[Problem], *fields: str) -> list[Problem]:
    """Return those of some fields."""
    return [problem for problem in problems if problem.field in fields]


async def logout(call: Call) -> Response:
    """POST auth/logout/: that token is dead."""
    async with call.begin() as tx:
        await tokens.sign_out(tx)
    return detail_response(200, "Successfully logged out.")


async def register(call: Call) -> Response:
    """POST auth/registration/."""
    sign_in.ensure_sign_up_allowed(call.directory)
    call.field_names = {"password": "password1"}
    values, problems = forms.parse(await bodies.read_fields(call.request), schemas.REGISTER)
    password = schemas.matching_passwords(values, problems)
    new = schemas.new_user(values)
    user, credential = await sign_in.sign_up(
        call.directory,
        call.actor,
        new,
        password,
        schemas.PASSWORD_RULES,
        CREDENTIAL_FORMAT,
        problems=problems,
    )
    user_fields = pick(user, "id", "username", "email", "first_name", "last_name")
    return json_response(201, {"key": credential.secret, "user": user_fields})


async def me(call: Call) -> Response:
    """GET auth/user/."""
    user = await user_lists.get(call.read(), call.actor.user_id)
    return json_response(200, user_out(user))


async def put_me(call: Call) -> Response:
    """PUT auth/user/."""
    return json_response(
        200, user_out(await update_profile(call, call.actor.user_id, partial=False))
    )


async def patch_me(call: Call) -> Response:
    """PATCH auth/user/."""
    return json_response(
        200, user_out(await update_profile(call, call.actor.user_id, partial=True))
    )


async def change_password(call: Call) -> Response:
    """POST auth/password/change/: other sessions end, this one stays."""
    call.field_names = schemas.PASSWORD_PAIR_NAMES
    values, problems = forms.parse(await bodies.read_fields(call.request), schemas.CHANGE_PASSWORD)
    password = schemas.matching_passwords(values, problems)
    current = values.get("current", "")
    await sign_in.change_password(
        call.directory, call.actor, current, password, schemas.PASSWORD_RULES, problems=problems
    )
    return detail_response(200, "New password has been saved.")


async def request_reset(call: Call) -> Response:
    """POST auth/password/reset/: the same answer whoever it is."""
    values, problems = forms.parse(await bodies.read_fields(call.request), schemas.REQUEST_RESET)
    if problems:
        raise Invalid(*problems)
    await password_resets.request_reset(call.directory, call.actor, values["email"])
    return detail_response(200, "Password reset e-mail has been sent.")


async def confirm_reset(call: Call) -> Response:
    """POST auth/password/reset/confirm/."""
    call.field_names = schemas.PASSWORD_PAIR_NAMES
    values, problems = forms.parse(await bodies.read_fields(call.request), schemas.CONFIRM_RESET)
    password = schemas.matching_passwords(values, problems)
    if problems_of_fields(problems, "uid", "token"):
        raise Invalid(*problems)
    await password_resets.reset_password(
        call.directory,
        call.actor,
        values["uid"],
        values["token"],
        password,
        schemas.PASSWORD_RULES,
        problems=problems,
    )
    return detail_response(200, "Password has been reset with the new password.")
