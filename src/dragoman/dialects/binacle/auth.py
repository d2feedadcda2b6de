"""Binacle's tokens: an e-mail address and a password for a JWT of an hour."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import sign_in
from dragoman.dialects.binacle.schemas import FLOOR, claims_of, email_in, fields_of, password_in
from dragoman.rules import fields, passwords
from dragoman.rules.credentials import Kind
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.model import HOUR, SECOND
from dragoman.web.calls import Call
from dragoman.web.responses import JSON

KIND = Kind(contract="binacle", kind="session", lasts=HOUR, claims=claims_of)


async def token(call: Call) -> Response:
    """POST /api/auth/token: the form is judged like that of a new user, before any look-up."""
    given = await fields_of(call.request)
    problems: list[Problem] = []
    email = email_in(given, problems)
    problems += fields.email_problems(email)
    password = password_in(call, given, problems, FLOOR, "password")
    if password:
        problems += passwords.problems(password, FLOOR, context={})
    if problems:
        raise Invalid(*problems)
    _, credential = await sign_in.sign_in(
        call.directory, call.actor, email, password, KIND, by_email=True
    )
    body = {
        "tokenType": "Bearer",
        "accessToken": credential.secret,
        "expiresIn": KIND.lasts // SECOND,
    }
    return JSON(200, body)
