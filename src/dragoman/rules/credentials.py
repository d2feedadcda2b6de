"""Credentials: the format that a contract issues, and a newly issued one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dragoman.rules import crypto
from dragoman.rules.model import Role, User

REFRESH = "refresh"
"""``Token.kind`` of a refresh token, which is accepted only in exchange for new credentials."""


class CredentialFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The format and lifetime of the credentials that a contract issues.

    Attributes:
        contract: the name of the contract.
        generate: returns a new random secret.
        token_type: the value of ``Token.kind``.
        lifetime: the fixed lifetime (microseconds). If 0, a credential expires when it has not
            been used for ``token_idle_days``, at the latest after ``token_max_days``.
        idle_lifetime: how long a credential with a fixed lifetime may be unused (microseconds); 0:
            as long as it lives.
        refresh_lifetime: the lifetime of the refresh token issued with it (microseconds); 0 for
            no refresh token.
        claims: if set, credentials are JWTs with these claims in addition to the registered ones
            (RFC 7519, section 4.1).
    """

    contract: str
    generate: Callable[[], str] = crypto.generate_urlsafe
    token_type: str = "session"
    lifetime: int = 0
    idle_lifetime: int = 0
    refresh_lifetime: int = 0
    claims: Callable[[User], dict[str, Any]] | None = None


class SignInRequirements(msgspec.Struct, frozen=True, kw_only=True):
    """What a contract requires of a sign-in, and its words for roles.

    Attributes:
        by_email: the contract knows people by e-mail address only.
        min_password_length: shorter passwords are refused before they are verified (characters).
        role_names: what the contract calls each role; empty if it has no word for them.
    """

    by_email: bool = False
    min_password_length: int = 0
    role_names: Mapping[Role, str] = msgspec.field(default_factory=dict)


class Credential(msgspec.Struct, frozen=True):
    """A newly issued credential; the only object that contains its secret.

    Attributes:
        secret: the secret, or the JWT.
        expires_at: when the credential expires (microseconds since 1970).
        refresh_token: the refresh token; empty if the contract has none.
    """

    secret: str
    expires_at: int
    refresh_token: str = ""
