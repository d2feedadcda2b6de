"""What the server does beside its requests: send, note, tidy up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from dragoman.actions import tokens
from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys
from dragoman.actions.system import system_actor
from dragoman.jobs import mail_delivery
from dragoman.rules.errors import Failure
from dragoman.rules.model import DAY, HOUR
from dragoman.store import outbox, sign_in_failures, signing_keys
from dragoman.store import tokens as credentials

BEAT_S = 1.0
NOTE_EVERY, FIRST_TIDY, TIDY_EVERY = 10, 60, 3600
"""Paces of the slower chores, in beats."""
MOST_S = 30.0
"""The longest pause after a chore that fails again and again."""
KEEP_MAIL = 7 * DAY
KEEP_ADDRESSES = 180 * DAY

log: Any = structlog.get_logger()


async def run(directory: Directory) -> None:
    """Run until cancelled: mails every second, touches every ten, tidying every hour.

    Each goes its own pace: a silent mail server holds up mails alone. A database that cannot
    serve is waited for.
    """
    async with asyncio.TaskGroup() as chores:
        chores.create_task(_every(BEAT_S, mail_delivery.send_due, directory))
        chores.create_task(_every(BEAT_S * NOTE_EVERY, tokens.note_touches, directory))
        first_s = BEAT_S * FIRST_TIDY
        chores.create_task(_every(BEAT_S * TIDY_EVERY, purge, directory, first_s=first_s))


async def _every(
    pause_s: float,
    chore: Callable[[Directory], Awaitable[int]],
    directory: Directory,
    *,
    first_s: float = 0.0,
) -> None:
    await asyncio.sleep(first_s)
    failures_in_a_row = 0
    while True:
        try:
            await chore(directory)
            failures_in_a_row = 0
        except Failure as fault:
            failures_in_a_row += 1
            if failures_in_a_row == 1:
                log.warning("chore_waits", chore=chore.__name__, error=type(fault).__name__)
        except Exception:  # a bug in one chore must not end them all
            failures_in_a_row += 1
            log.exception("bug", chore=chore.__name__)
        longer_s = min(2.0**failures_in_a_row, MOST_S) if failures_in_a_row else 0.0
        await asyncio.sleep(max(pause_s, longer_s))


async def finish(directory: Directory) -> None:
    """Write down what would be lost at the end."""
    with contextlib.suppress(Failure):
        await tokens.note_touches(directory)


async def purge(directory: Directory) -> int:
    """Forget what is over: credentials, failures, sent mails, keys; returns how many rows went."""
    async with directory.begin(system_actor("upkeep")) as tx:
        gone = await credentials.purge(tx)
        gone += await sign_in_failures.purge(tx, tx.now - HOUR)
        gone += await sign_in_failures.forget_old(tx, tx.now - KEEP_ADDRESSES)
        gone += await signing_keys.purge(tx, tx.now - jwt_keys.PUBLISHED)
        return gone + await outbox.purge(tx, tx.now - KEEP_MAIL)
