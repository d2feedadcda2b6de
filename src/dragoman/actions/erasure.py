"""Erasing a person for good: living, or deleted by a contract that keeps the personal fields."""

from __future__ import annotations

import msgspec

from dragoman.actions.steps import change_user, remove_user
from dragoman.rules import policy
from dragoman.rules.errors import NotFound
from dragoman.rules.vocabulary import Action
from dragoman.store import erasures
from dragoman.store.transaction import Tx


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof of an erasure, without personal data.

    Attributes:
        user_id: the id, which is not given out again.
        public_id: the public id, as in the ledger of erasures.
        erased_at: when the person was erased first (microseconds since 1970 UTC).
        deleted_at: when the account was deleted (microseconds); earlier, if a contract had kept it.
        already_erased: the person had been erased before; what was left was erased again.
    """

    user_id: int
    public_id: str
    erased_at: int
    deleted_at: int
    already_erased: bool


async def erase(tx: Tx, user_id: int) -> Receipt:
    """Erase a person: delete the user, and everything that tells who it was.

    These are the personal fields, the client addresses in the history, failed sign-ins, addresses
    that it signed in from, waiting mails, invitations to its e-mail address, and what imports
    keep of it. The history keeps ids, times and actions. The public id goes into the ledger of
    erasures, with which a restored backup erases the person again.
    May be repeated.

    Raises:
        NotFound, Forbidden: the policy refuses.
        LastOwner, LastSuperadmin: the user must stay.
        Unavailable: the ledger cannot be written; raised at the end of the transaction.
    """
    policy.require_reach(tx.actor, Action.ERASE_USER, user_id)
    found = await erasures.find_any(tx, user_id, for_update=True)
    if found is None or not policy.exists_for(tx.actor, approved=found.user.approved):
        raise NotFound
    user, deleted_at = found.user, found.deleted_at
    policy.require(tx.actor, Action.ERASE_USER, user)
    earlier = await erasures.erased_at(tx, user.public_id)
    if not deleted_at:
        await change_user.ensure_not_last(tx, user)
    await remove_user.erase_any(tx, found)
    return Receipt(
        user_id=user.id,
        public_id=user.public_id,
        erased_at=earlier or tx.now,
        deleted_at=deleted_at or tx.now,
        already_erased=bool(earlier and deleted_at),
    )
