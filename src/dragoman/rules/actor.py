"""The actor of a request: a user, the system, or a visitor without credentials."""

from __future__ import annotations

import msgspec

from dragoman.rules.model import Role
from dragoman.rules.vocabulary import Restrictions


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """The actor of a request, as the policy and the audit log see it.

    Attributes:
        kind: ``user``; ``system`` for the command line, the bootstrap and background jobs; or
            ``visitor`` for requests without credentials (sign-up, sign-in, password reset).
        contract: the contract that the request was made to.
        restrictions: how that contract limits the policy.
        user_id: the user's id; 0 for ``system`` and ``visitor``. The fields from here to
            ``session_id`` are set for ``user`` only.
        tenant_id: the tenant in which the user acts at this contract.
        role: the role with which the user acts at this contract.
        permissions: codenames granted directly or by a group.
        approved: whether the user is approved; others see less of the directory.
        auth_epoch: the user's epoch when the credential was checked.
        tenant_epoch: the tenant's epoch when the credential was checked.
        token_id: the id of the credential.
        session_id: the family of the credential, else its id: what a sign-in began.
        name: the name written to the audit log.
        request_id: the request's ``X-Request-Id``.
        address: the client's IP address.
    """

    kind: str
    contract: str
    restrictions: Restrictions
    user_id: int = 0
    tenant_id: int | None = None
    role: Role = Role.VIEWER
    permissions: frozenset[str] = frozenset()
    approved: bool = False
    auth_epoch: int = 0
    tenant_epoch: int = 0
    token_id: int = 0
    session_id: int = 0
    name: str = ""
    request_id: str = ""
    address: str = ""

    def is_user(self, user_id: int) -> bool:
        """Return whether the actor is the user with this id."""
        return self.kind == "user" and self.user_id == user_id
