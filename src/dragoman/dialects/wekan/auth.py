"""Wekan's login, registration and logout."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import sign_in, tokens
from dragoman.dialects.wekan import schemas
from dragoman.dialects.wekan.schemas import (
    MEDIA_TYPES,
    PASSWORD_RULES,
    parse_login_name,
    parse_new_user,
    parse_password,
    timestamp,
)
from dragoman.dialects.wekan.settings import WekanSettings
from dragoman.rules import crypto
from dragoman.rules.credentials import Credential, CredentialFormat, SignInRequirements
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import DAY, User
from dragoman.web import bodies, forms
from dragoman.web.calls import Call
from dragoman.web.responses import MsgspecResponse

CREDENTIAL_FORMAT = CredentialFormat(
    contract="wekan", generate=crypto.generate_urlsafe, lifetime=90 * DAY
)
SIGN_IN = SignInRequirements(role_names=schemas.ROLE_NAMES)


def _login_response(user: User, credential: Credential) -> Response:
    if not credential.secret:  # the e-mail address must be proven first
        return MsgspecResponse(200, {"id": user.public_id})
    fields = {
        "id": user.public_id,
        "token": credential.secret,
        "tokenExpires": timestamp(credential.expires_at),
    }
    return MsgspecResponse(200, fields)


async def login(call: Call) -> Response:
    """POST /users/login: sign in with a username or an e-mail address, in either field."""
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    login_name, login_name_problems = parse_login_name(body)
    password, password_problems = parse_password(body)
    if problems := login_name_problems + password_problems:
        raise Invalid(*problems)
    return _login_response(
        *await sign_in.sign_in(call.directory, call.actor, login_name, password, CREDENTIAL_FORMAT)
    )


async def register(call: Call) -> Response:
    """POST /users/register: create an account; the first user of a tenant may become its owner."""
    sign_in.ensure_sign_up_allowed(call.directory)
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    new, problems = parse_new_user(body)
    password, password_problems = parse_password(body)
    call.field_names = schemas.form_field_names(new)
    settings = call.directory.settings.for_contract(WekanSettings)
    user_and_credential = await sign_in.sign_up(
        call.directory,
        call.actor,
        new,
        password,
        PASSWORD_RULES,
        CREDENTIAL_FORMAT,
        charset=UsernameCharset.PERMISSIVE,
        first_becomes_owner=settings.first_user_is_admin,
        problems=problems + password_problems,
    )
    return _login_response(*user_and_credential)


async def logout(call: Call) -> Response:
    """POST /users/logout: revoke the presented token, or with ``all`` all tokens of its user."""
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    all_value = body.get("all")
    all_sessions = False if all_value is None or all_value == "" else forms.parse_boolean(all_value)
    if all_sessions is None:
        raise Invalid(Problem("all", "not_boolean"))
    async with call.begin() as tx:
        await tokens.sign_out(tx, everywhere=all_sessions)
    return MsgspecResponse(200, {"message": "You've been logged out!"})
