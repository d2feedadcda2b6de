"""Authorization header: extracts the secret of a scheme."""

from __future__ import annotations

from dragoman.rules.errors import Unauthenticated

MAX_LENGTH = 4096
"""No issued credential is longer (characters)."""


def secret_from_header(header: str | None, scheme: str) -> str:
    """Return the secret in an Authorization header (RFC 9110, section 11.4).

    Raises Unauthenticated with one of these reasons:

    - ``missing``: no header, or another scheme;
    - ``malformed``: the scheme without a secret (detail ``alone``), more than one word after it
      (``spaces``), or characters outside ASCII (``characters``);
    - ``unknown``: longer than any issued credential.
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
