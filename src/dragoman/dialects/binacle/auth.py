"""Binacle's tokens: an e-mail address and a password for a JWT of an hour."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import sign_in
from dragoman.dialects.binacle.schemas import (
    PASSWORD_RULES,
    jwt_claims,
    parse_email,
    parse_fields,
    parse_password,
)
from dragoman.rules import fields, passwords
from dragoman.rules.credentials import CredentialFormat
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.model import HOUR, SECOND
from dragoman.web.calls import Call
from dragoman.web.responses import MsgspecResponse

CREDENTIAL_FORMAT = CredentialFormat(
    contract="binacle", token_type="session", lifetime=HOUR, claims=jwt_claims
)


async def issue_token(call: Call) -> Response:
    """POST /api/auth/token: the form is judged like that of a new user, before any look-up."""
    form_fields = await parse_fields(call.request)
    problems: list[Problem] = []
    email = parse_email(form_fields, problems)
    problems += fields.email_problems(email)
    password = parse_password(call, form_fields, problems, PASSWORD_RULES, "password")
    if password:
        problems += passwords.password_rule_problems(password, PASSWORD_RULES, context={})
    if problems:
        raise Invalid(*problems)
    _, credential = await sign_in.sign_in(
        call.directory, call.actor, email, password, CREDENTIAL_FORMAT, by_email=True
    )
    body = {
        "tokenType": "Bearer",
        "accessToken": credential.secret,
        "expiresIn": CREDENTIAL_FORMAT.lifetime // SECOND,
    }
    return MsgspecResponse(200, body)
