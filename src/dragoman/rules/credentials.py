"""What credentials are: the format of a contract's credentials, and a newly issued one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dragoman.rules import crypto
from dragoman.rules.model import User

REFRESH = "refresh"
"""The kind of a credential that buys new ones, and opens nothing itself."""


class CredentialFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How a contract's credentials look and how long they live (microseconds).

    ``lasts`` is a life of fixed length; 0 lets a credential live as long as it is used, within
    the operator's settings. With ``refresh_lasts`` a refresh token of that life comes along.
    ``claims`` makes JWTs of them, with these besides the registered ones (RFC 7519, 4.1).
    """

    contract: str
    generate: Callable[[], str] = crypto.generate_urlsafe
    token_type: str = "session"
    lifetime: int = 0
    refresh_lifetime: int = 0
    claims: Callable[[User], dict[str, Any]] | None = None


class Credential(msgspec.Struct, frozen=True):
    """What a user is given once, and is nowhere else; ``refresh`` is empty where none is made.

    ``expires_at`` is the moment (microseconds) after which it is worth nothing.
    """

    secret: str
    expires_at: int
    refresh_token: str = ""
