"""The Authorization header: find the credential, and who stands behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dragoman.actions import tokens
from dragoman.actions.tokens import Presented
from dragoman.rules.errors import Unauthenticated
from dragoman.web import headers

if TYPE_CHECKING:
    from dragoman.web.calls import Call

LONGEST = 4096
"""No credential of ours is longer (characters)."""


def secret_of(header: str | None, scheme: str) -> str:
    """Return the secret in an Authorization header of a scheme (RFC 9110, section 11.4).

    Raises Unauthenticated: ``missing`` without a header or with another scheme, ``malformed``
    where the scheme stands alone (detail ``alone``), is followed by more than one word
    (``spaces``), or by what no credential is made of (``characters``); ``unknown`` for one that
    is longer than any of ours.
    """
    parts = (header or "").split()
    if not parts or parts[0].lower() != scheme.lower():
        raise Unauthenticated("missing")
    if len(parts) == 1:
        raise Unauthenticated("malformed", "alone")
    if len(parts) > 2:
        raise Unauthenticated("malformed", "spaces")
    if not parts[1].isascii():
        raise Unauthenticated("malformed", "characters")
    if len(parts[1]) > LONGEST:
        raise Unauthenticated("unknown")
    return parts[1]


async def authenticate(call: Call, ahead: int = 0) -> None:
    """Find out who calls, and fetch the user ``ahead`` with the same look; raises Unauthenticated.

    More than one Authorization header is no credential.
    """
    given = headers.values(call.request.scope, b"authorization")
    if len(given) > 1:
        raise Unauthenticated("malformed", "spaces")
    secret = secret_of(given[0] if given else None, call.contract.scheme)
    presented = Presented(
        kind=call.contract.kind,
        secret=secret,
        narrowing=call.contract.narrowing,
        request_id=call.request_id,
        address=call.address,
    )
    call.actor, call.user, call.ahead = await tokens.authenticate(call.directory, presented, ahead)
