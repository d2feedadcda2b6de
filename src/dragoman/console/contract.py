"""The console as a contract: its session cookie, and how its errors become pages."""

from __future__ import annotations

from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from dragoman.console import errors
from dragoman.rules.credentials import Credential, CredentialFormat
from dragoman.rules.errors import Unauthenticated
from dragoman.rules.model import HOUR, MINUTE, SECOND
from dragoman.rules.vocabulary import UNRESTRICTED
from dragoman.web import headers
from dragoman.web.calls import Contract
from dragoman.web.credentials import MAX_LENGTH

NAME = "console"
COOKIE = "__Host-dragoman"
"""Browsers take a cookie of this prefix from HTTPS, or localhost, with Path=/ and no Domain alone."""
LIFETIME, IDLE_LIFETIME = 12 * HOUR, 30 * MINUTE
CREDENTIAL_FORMAT = CredentialFormat(contract=NAME, lifetime=LIFETIME, idle_lifetime=IDLE_LIFETIME)
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"


def secret_from_cookie(scope: Scope) -> str:
    """Return the secret in the session cookie; raises Unauthenticated."""
    values = headers.getlist(scope, b"cookie")
    found = cookie_parser("; ".join(values)).get(COOKIE, "")
    if not found or not found.isascii() or len(found) > MAX_LENGTH:
        raise Unauthenticated("unknown" if found else "missing")
    return found


def set_session(response: Response, credential: Credential) -> None:
    """Let the browser keep the session's secret."""
    max_age = LIFETIME // SECOND
    cookie = f"{COOKIE}={credential.secret}; Max-Age={max_age}; {_ATTRIBUTES}"
    response.raw_headers.append((b"set-cookie", cookie.encode("ascii")))


def clear_session(response: Response) -> None:
    """Let the browser forget the session's secret."""
    response.raw_headers.append((b"set-cookie", f"{COOKIE}=; Max-Age=0; {_ATTRIBUTES}".encode()))


CONTRACT = Contract(
    name=NAME,
    scheme="",
    credential_format=CREDENTIAL_FORMAT,
    restrictions=UNRESTRICTED,
    handle_error=errors.handle_error,
    read_secret=secret_from_cookie,
)
