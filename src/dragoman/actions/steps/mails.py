"""Mails: the only place that adds one to the outbox, and the limit of mails to one address."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.actions.steps import guess_limits
from dragoman.rules import crypto
from dragoman.rules.fields import canonical
from dragoman.rules.model import HOUR
from dragoman.store import outbox, sign_in_failures
from dragoman.store.transaction import Tx

MAX_MAILS_PER_HOUR = 5
"""Maximum number of mails to one address per hour, of every kind and from all senders together."""


async def reserve(tx: Tx, address: str) -> int:
    """Count one more mail to an address; return 0, or after how many seconds it may be sent.

    The address counts by its canonical form, whether or not it has a user. Callers that get another
    result than 0 must not send the mail.
    """
    account = "mail:" + crypto.digest(canonical(address.strip())).hex()
    if await guess_limits.increment(tx, account, "", HOUR) < MAX_MAILS_PER_HOUR:
        return 0
    _, (window_start, _) = await sign_in_failures.failure_counts(tx, account, "")
    return guess_limits.retry_after_s(window_start + HOUR - tx.now)


async def enqueue(
    tx: Tx, kind: str, *, user_id: int | None, recipient: str, **payload: Any
) -> None:
    """Add a mail to the outbox; it is sent after the commit.

    Args:
        tx: the transaction of the mail's cause.
        kind: which mail it is.
        user_id: the user that it concerns: it is deleted when the user's data is erased.
        recipient: the address, for which ``reserve`` has returned 0.
        payload: what the mail is built from, apart from the current rows; never a secret.
    """
    payload_json = msgspec.json.encode(payload).decode()
    await outbox.insert(tx, kind, user_id=user_id, recipient=recipient, payload=payload_json)
