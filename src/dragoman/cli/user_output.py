"""Users as the command line shows them."""

from __future__ import annotations

import msgspec

from dragoman.actions import tenants
from dragoman.cli import render
from dragoman.rules.errors import NotFound
from dragoman.rules.model import User
from dragoman.store.transaction import Read

COLUMNS = ("id", "username", "email", "role", "tenant", "active", "last_login_at")


class UserOut(msgspec.Struct, frozen=True):
    """A user as shown in output; times in ISO 8601, UTC."""

    id: int
    public_id: str
    username: str
    email: str
    first_name: str
    last_name: str
    role: str
    tenant: str | None
    active: bool
    approved: bool
    verified: bool
    signed_up: bool
    created_at: str | None
    last_login_at: str | None


class UserFormatter:
    """Converts users to UserOut; looks up the slug of each tenant once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._slugs: dict[int, str | None] = {}

    async def user_out(self, user: User) -> UserOut:
        """Return a user as shown in output."""
        return UserOut(
            id=user.id,
            public_id=user.public_id,
            username=user.username,
            email=user.email,
            first_name=user.first_name,
            last_name=user.last_name,
            role=user.role.name.lower(),
            tenant=await self._tenant_slug(user.tenant_id),
            active=user.active,
            approved=user.approved,
            verified=user.verified,
            signed_up=user.signed_up,
            created_at=render.timestamp(user.created_at),
            last_login_at=render.timestamp(user.last_login_at),
        )

    async def _tenant_slug(self, tenant_id: int | None) -> str | None:
        if tenant_id is None:
            return None
        if tenant_id not in self._slugs:
            try:
                self._slugs[tenant_id] = (await tenants.get(self._read, tenant_id)).tenant.slug
            except NotFound:  # a deleted user of a tenant that is deleted since
                self._slugs[tenant_id] = None
        return self._slugs[tenant_id]
