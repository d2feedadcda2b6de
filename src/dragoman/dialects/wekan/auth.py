"""Wekan's sign-in: by username or e-mail address, registering, and out again."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import sign_in, tokens
from dragoman.dialects.wekan import schemas
from dragoman.dialects.wekan.errors import json_response
from dragoman.dialects.wekan.schemas import (
    MEDIA_TYPES,
    PASSWORD_RULES,
    parse_password,
    parse_text,
    timestamp,
)
from dragoman.rules import crypto
from dragoman.rules.credentials import Credential, CredentialFormat
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.fields import UsernameCharset, trim
from dragoman.rules.model import DAY, User
from dragoman.web import bodies, forms
from dragoman.web.calls import Call

CREDENTIAL_FORMAT = CredentialFormat(
    contract="wekan", generate=crypto.generate_urlsafe, lifetime=90 * DAY
)


def _login_response(user: User, credential: Credential) -> Response:
    fields = {
        "id": user.public_id,
        "token": credential.secret,
        "tokenExpires": timestamp(credential.expires_at),
    }
    return json_response(200, fields)


async def login(call: Call) -> Response:
    """POST /users/login: by username or e-mail address, in either field."""
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    problems: list[Problem] = []
    login_name = trim(parse_text(body, "email", problems)) or trim(
        parse_text(body, "username", problems)
    )
    password = parse_password(body, problems)
    if not login_name:
        problems.append(Problem("username", "blank"))
    if problems:
        raise Invalid(*problems)
    return _login_response(
        *await sign_in.sign_in(call.directory, call.actor, login_name, password, CREDENTIAL_FORMAT)
    )


async def register(call: Call) -> Response:
    """POST /users/register: the first to come to a tenant without owners becomes its owner."""
    sign_in.ensure_sign_up_allowed(call.directory)
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    problems: list[Problem] = []
    new = schemas.new_user(body, problems)
    call.field_names = schemas.form_field_names(new)
    user_and_credential = await sign_in.sign_up(
        call.directory,
        call.actor,
        new,
        parse_password(body, problems),
        PASSWORD_RULES,
        CREDENTIAL_FORMAT,
        charset=UsernameCharset.PERMISSIVE,
        first_becomes_owner=call.directory.settings.first_user_is_admin,
        problems=problems,
    )
    return _login_response(*user_and_credential)


async def logout(call: Call) -> Response:
    """POST /users/logout: that token is dead, with ``all`` every one of its user's."""
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    all_value = body.get("all")
    all_sessions = False if all_value is None or all_value == "" else forms.parse_boolean(all_value)
    if all_sessions is None:
        raise Invalid(Problem("all", "not_boolean"))
    async with call.begin() as tx:
        await tokens.sign_out(tx, everywhere=all_sessions)
    return json_response(200, {"message": "You've been logged out!"})
