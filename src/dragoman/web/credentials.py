"""The Authorization header: find the credential, and who stands behind it."""

from __future__ import annotations

from dragoman.rules.errors import Unauthenticated

MAX_LENGTH = 4096
"""No credential of ours is longer (characters)."""


def secret_from_header(header: str | None, scheme: str) -> str:
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
    if len(parts[1]) > MAX_LENGTH:
        raise Unauthenticated("unknown")
    return parts[1]
