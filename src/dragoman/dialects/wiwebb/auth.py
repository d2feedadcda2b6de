"""WiWebb's authentication: sign in and out, register, and the caller's profile and password."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import email_addresses, password_resets, sign_in, tokens, user_lists
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.schemas import pick, user_out
from dragoman.dialects.wiwebb.users import update_profile
from dragoman.rules import crypto
from dragoman.rules.credentials import CredentialFormat, SignInRequirements
from dragoman.rules.errors import Invalid, InvalidLink, NotFound, Problem
from dragoman.web import bodies, forms
from dragoman.web.calls import Call
from dragoman.web.drf import detail_response
from dragoman.web.responses import MsgspecResponse

CREDENTIAL_FORMAT = CredentialFormat(contract="wiwebb", generate=crypto.generate_hex)
SIGN_IN = SignInRequirements(role_names=schemas.ROLE_NAMES)


async def login(call: Call) -> Response:
    """POST auth/login/: sign in with a username or an e-mail address, in either field."""
    body = await bodies.read_fields(call.request)
    for field, other in (("username", "email"), ("email", "username")):
        if body.get(field) and body.get(other) in ("", None):
            body.pop(other, None)  # WiWebb's clients send the unused field empty
    values, problems = forms.parse(body, schemas.LOGIN)
    login_name = values.get("username") or values.get("email")
    if not login_name and not _problems_of_fields(problems, "username", "email"):
        problems.insert(0, Problem("username", "required"))
    if problems:
        raise Invalid(*problems)
    user, credential = await sign_in.sign_in(
        call.directory, call.actor, str(login_name), values["password"], CREDENTIAL_FORMAT
    )
    return MsgspecResponse(
        200, {"key": credential.secret, "user": pick(user, "id", "username", "email", "role")}
    )


def _problems_of_fields(problems: list[Problem], *fields: str) -> list[Problem]:
    return [problem for problem in problems if problem.field in fields]


async def logout(call: Call) -> Response:
    """POST auth/logout/: revoke the presented token."""
    async with call.begin() as tx:
        await tokens.sign_out(tx)
    return detail_response(200, "Successfully logged out.")


async def register(call: Call) -> Response:
    """POST auth/registration/: create an account and sign it in."""
    sign_in.ensure_sign_up_allowed(call.directory)
    call.field_names = {"password": "password1"}
    values, password, problems = schemas.parse_matching_passwords(
        await bodies.read_fields(call.request), schemas.REGISTER
    )
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
    if not credential.secret:
        return detail_response(201, "Verification e-mail sent.")
    user_fields = pick(user, "id", "username", "email", "first_name", "last_name")
    return MsgspecResponse(201, {"key": credential.secret, "user": user_fields})


async def verify_email(call: Call) -> Response:
    """POST auth/registration/verify-email/: prove an e-mail address with the key that was mailed."""
    values, problems = forms.parse(await bodies.read_fields(call.request), schemas.VERIFY_EMAIL)
    if problems:
        raise Invalid(*problems)
    try:
        await email_addresses.verify(call.directory, call.actor, values["key"])
    except InvalidLink:
        raise NotFound from None
    return detail_response(200, "ok")


async def resend_email(call: Call) -> Response:
    """POST auth/registration/resend-email/: mail the key again; the response is always the same."""
    values, problems = forms.parse(await bodies.read_fields(call.request), schemas.REQUEST_RESET)
    if problems:
        raise Invalid(*problems)
    await email_addresses.resend_verification(call.directory, call.actor, values["email"])
    return detail_response(200, "ok")


async def me(call: Call) -> Response:
    """GET auth/user/: return the caller's own user."""
    user = await user_lists.get(call.read(), call.actor.user_id)
    return MsgspecResponse(200, user_out(user))


async def put_me(call: Call) -> Response:
    """PUT auth/user/: update the caller's own profile; the e-mail address is required."""
    return MsgspecResponse(
        200, user_out(await update_profile(call, call.actor.user_id, partial=False))
    )


async def patch_me(call: Call) -> Response:
    """PATCH auth/user/: update fields of the caller's own profile."""
    return MsgspecResponse(
        200, user_out(await update_profile(call, call.actor.user_id, partial=True))
    )


async def change_password(call: Call) -> Response:
    """POST auth/password/change/: change the caller's password; all its other sessions end."""
    call.field_names = schemas.PASSWORD_PAIR_NAMES
    values, password, problems = schemas.parse_matching_passwords(
        await bodies.read_fields(call.request), schemas.CHANGE_PASSWORD
    )
    current = values.get("current", "")
    await sign_in.change_password(
        call.directory, call.actor, current, password, schemas.PASSWORD_RULES, problems=problems
    )
    return detail_response(200, "New password has been saved.")


async def request_reset(call: Call) -> Response:
    """POST auth/password/reset/: send a reset mail; the response is the same for unknown users."""
    values, problems = forms.parse(await bodies.read_fields(call.request), schemas.REQUEST_RESET)
    if problems:
        raise Invalid(*problems)
    await password_resets.request_reset(call.directory, call.actor, values["email"])
    return detail_response(200, "Password reset e-mail has been sent.")


async def confirm_reset(call: Call) -> Response:
    """POST auth/password/reset/confirm/: set a new password with the token of a reset mail."""
    call.field_names = schemas.PASSWORD_PAIR_NAMES
    values, password, problems = schemas.parse_matching_passwords(
        await bodies.read_fields(call.request), schemas.CONFIRM_RESET
    )
    if _problems_of_fields(problems, "uid", "token"):
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
