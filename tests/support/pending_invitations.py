"""Pending vsay invitations in the world, for tests that need many of them."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman import app
from dragoman.actions import user_lists
from dragoman.actions.steps import credentials, open_invitations
from dragoman.actions.system import system_actor
from dragoman.rules import crypto
from dragoman.rules.model import DAY, Role
from dragoman.settings import Settings
from dragoman.store import invitations

PENDING_COUNT = 40
"""How many invitations are pending: acceptances and revocations use them up."""
REFRESH: dict[str, Any] = {}
"""A refresh token that is good in the database of the moment."""
SECRET_OPERATIONS = {
    "GET /users/invitations/{invitation}",
    "POST /users/invitations/{invitation}/accept",
}


class PendingInvitations(msgspec.Struct):
    """Pending invitations of acme: their ids, and the secrets of their links."""

    ids: list[str]
    secrets: list[str]


async def invite(settings: Settings) -> PendingInvitations:
    """Let olga invite many, and give her a refresh token."""
    made = PendingInvitations([], [])
    async with (
        app.open_directory(settings) as directory,
        directory.begin(system_actor("tests")) as tx,
    ):
        olga = await user_lists.find(tx, username="olga")
        for number in range(PENDING_COUNT):
            found = await invitations.insert(
                tx,
                public_id=crypto.generate_public_id(),
                tenant_id=olga.tenant_id,
                email=f"offer{number}@fresh.test",
                name="New User",
                role=Role.MEMBER,
                resources=("mch_1",),
                inviter_id=olga.id,
                expires_at=tx.now + 7 * DAY,
            )
            made.ids.append(f"inv_{found.public_id}")
            made.secrets.append(open_invitations.link_secret(directory, found))
        credential = await credentials.mint(tx, directory, olga, app.credential_format("vsay"))
        REFRESH["refresh_token"] = credential.refresh_token
    return made
