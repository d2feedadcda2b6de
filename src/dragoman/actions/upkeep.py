"""What the server does beside its requests: send, note, tidy up."""

from __future__ import annotations

import asyncio
import contextlib

from dragoman.actions import deliver, tokens
from dragoman.actions.directory import Directory, machine
from dragoman.rules.errors import Failure
from dragoman.rules.model import DAY, HOUR
from dragoman.store import failures, outbox
from dragoman.store import tokens as credentials

BEAT_S = 1.0
NOTE_EVERY = 10
TIDY_EVERY = 3600
KEEP_SENT = 7 * DAY
KEEP_ADDRESSES = 180 * DAY


async def run(directory: Directory) -> None:
    """Run until cancelled: mails every second, touches every ten, tidying every hour.

    A database that cannot serve is waited for.
    """
    beat = 0
    while True:
        with contextlib.suppress(Failure):
            await deliver.send_due(directory)
            if beat % NOTE_EVERY == 0:
                await tokens.note_touches(directory)
            if beat % TIDY_EVERY == TIDY_EVERY // 60:
                await purge(directory)
        beat += 1
        await asyncio.sleep(BEAT_S)


async def finish(directory: Directory) -> None:
    """Write down what would be lost at the end."""
    with contextlib.suppress(Failure):
        await tokens.note_touches(directory)


async def purge(directory: Directory) -> int:
    """Forget what has expired: credentials, failures, sent mails; returns how many rows went."""
    async with directory.begin(machine("upkeep")) as tx:
        gone = await credentials.purge(tx)
        gone += await failures.purge(tx, tx.now - HOUR)
        gone += await failures.forget_old(tx, tx.now - KEEP_ADDRESSES)
        return gone + await outbox.purge(tx, tx.now - KEEP_SENT)
