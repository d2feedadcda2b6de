"""Who makes a request: a user, the system, or a visitor without credentials."""

from __future__ import annotations

import msgspec

from dragoman.rules.model import Role
from dragoman.rules.vocabulary import Restrictions


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts: a person behind a credential, a machine, or a visitor without one.

    ``kind`` is ``user``, ``system`` (the command line, the first start, the upkeep) or
    ``visitor`` (nobody has signed in: sign-up, sign-in, reset). ``narrowing`` is the
    contract's own, stricter, view of the policy table.
    """

    kind: str
    contract: str
    restrictions: Restrictions
    user_id: int = 0
    tenant_id: int | None = None
    role: Role = Role.VIEWER
    permissions: frozenset[str] = frozenset()
    auth_epoch: int = 0
    tenant_epoch: int = 0
    token_id: int = 0
    name: str = ""
    request_id: str = ""
    address: str = ""

    def is_user(self, user_id: int) -> bool:
        """Say whether this actor is that very user."""
        return self.kind == "user" and self.user_id == user_id
