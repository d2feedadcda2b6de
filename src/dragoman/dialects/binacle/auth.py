"""Binacle's tokens: exchange an e-mail address and a password for a JWT."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import sign_in
from dragoman.dialects.binacle.schemas import (
    PASSWORD_RULES,
    ROLE_NAMES,
    jwt_claims,
    parse_email,
    parse_fields,
    parse_password,
)
from dragoman.rules import fields, passwords
from dragoman.rules.credentials import CredentialFormat, SignInRequirements
from dragoman.rules.errors import Invalid
from dragoman.rules.model import HOUR, SECOND
from dragoman.web.calls import Call
from dragoman.web.responses import MsgspecResponse

CREDENTIAL_FORMAT = CredentialFormat(
    contract="binacle", token_type="session", lifetime=HOUR, claims=jwt_claims
)
SIGN_IN = SignInRequirements(
    by_email=True, min_password_length=PASSWORD_RULES.min_length, role_names=ROLE_NAMES
)


async def issue_token(call: Call) -> Response:
    """POST /api/auth/token: issue a JWT; the body is validated like a new user's before any lookup."""
    form_fields = await parse_fields(call.request)
    email, problems = parse_email(form_fields)
    problems += fields.email_problems(email)
    password, password_problems = parse_password(call, form_fields, PASSWORD_RULES, "password")
    problems += password_problems
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
