"""What became of the mails of invitations: they wait, were given up, or left the outbox."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dragoman.rules import policy
from dragoman.rules.model import Invitation
from dragoman.rules.vocabulary import Action
from dragoman.store import outbox
from dragoman.store.invitations import OUTBOX_KIND
from dragoman.store.transaction import Read


class InvitationMail(msgspec.Struct, frozen=True):
    """An invitation's mail that is still in the outbox; ``last_error`` is empty before the first."""

    attempts: int
    last_error: str
    given_up: bool


class _Payload(msgspec.Struct):
    """The payload of an invitation's mail."""

    invitation: str
    generation: int


async def find(read: Read, listed: Iterable[Invitation]) -> dict[int, InvitationMail]:
    """Return the mails of these invitations that were not sent, by the invitation's id.

    The caller has listed the invitations for the same actor. Raises Forbidden.
    """
    policy.require_reach(read.actor, Action.INVITE)
    by_generation = {(each.public_id, each.generation): each for each in listed}
    recipients = sorted({each.email for each in by_generation.values() if each.email})
    if not recipients:
        return {}
    found: dict[int, InvitationMail] = {}
    for message in await outbox.list_unsent(read, OUTBOX_KIND, recipients):
        payload = msgspec.json.decode(message.payload, type=_Payload)
        invitation = by_generation.get((payload.invitation, payload.generation))
        if invitation is not None:
            found[invitation.id] = InvitationMail(
                message.attempts, message.last_error, bool(message.failed_at)
            )
    return found
