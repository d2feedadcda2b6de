"""Background tasks of the server: send mails, save last-used times, delete expired rows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from dragoman.actions import tokens
from dragoman.actions.directory import Directory
from dragoman.actions.invitations import LIFETIME
from dragoman.actions.metrics import publish_queues
from dragoman.actions.steps import jwt_keys
from dragoman.actions.system import system_actor
from dragoman.jobs import mail_delivery, node_clocks
from dragoman.rules.errors import DirectoryError
from dragoman.rules.model import DAY, HOUR, SECOND
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import (
    audit,
    import_undo,
    imported_hashes,
    invitations,
    outbox,
    sign_in_failures,
    signing_keys,
)
from dragoman.store import tokens as token_store
from dragoman.store.transaction import Tx, now

TICK_S = 1.0
"""Interval of mail delivery, in seconds."""
FLUSH_TICKS, FIRST_PURGE_TICKS, PURGE_TICKS = 10, 60, 3600
"""Intervals of the slower tasks, in ticks."""
MAX_BACKOFF_S = 30.0
"""Maximum delay in seconds before a failed task runs again."""
MAIL_RETENTION = 7 * DAY
"""How long sent and given-up mails are kept (microseconds)."""
HISTORY_STEP, HISTORY_PAUSE_S = 1000, 0.05
"""Maximum number of entries of the history per transaction, and the pause after one (seconds)."""
HASHES_STEP = 1000
"""Maximum number of imported hashes that are dropped in a transaction."""
FORMER_RETENTION = 30 * DAY
"""How long the values from before an update by an import are kept, for its undo (microseconds)."""
ADDRESS_RETENTION = 180 * DAY
"""How long an account's known client addresses are kept (microseconds)."""

log: Any = structlog.get_logger()


async def run(directory: Directory) -> None:
    """Run all tasks until cancelled: mails every second, last-used times every ten, purge hourly.

    The tasks are independent: an unresponsive mail server delays mails only. While the database is
    unavailable, the tasks are retried with a growing delay.
    """
    async with asyncio.TaskGroup() as task_group:
        task_group.create_task(_run_periodically(TICK_S, mail_delivery.send_due, directory))
        task_group.create_task(
            _run_periodically(TICK_S * FLUSH_TICKS, tokens.flush_last_used, directory)
        )
        task_group.create_task(_run_periodically(TICK_S * FLUSH_TICKS, _truncate_log, directory))
        task_group.create_task(_run_periodically(TICK_S, _publish_queues, directory))
        initial_delay_s = TICK_S * FIRST_PURGE_TICKS
        task_group.create_task(
            _run_periodically(
                TICK_S * node_clocks.INTERVAL / SECOND,
                node_clocks.compare_clock,
                directory,
                initial_delay_s=initial_delay_s,
            )
        )
        task_group.create_task(
            _run_periodically(
                TICK_S * PURGE_TICKS, purge, directory, initial_delay_s=initial_delay_s
            )
        )


async def _run_periodically(
    interval_s: float,
    job: Callable[[Directory], Awaitable[int]],
    directory: Directory,
    *,
    initial_delay_s: float = 0.0,
) -> None:
    await asyncio.sleep(initial_delay_s)
    consecutive_failures = 0
    while True:
        try:
            await job(directory)
            consecutive_failures = 0
        except DirectoryError as error:
            consecutive_failures += 1
            if consecutive_failures == 1:
                log.warning("chore_waits", chore=job.__name__, error=type(error).__name__)
        except Exception:  # a bug in one task must not stop the others
            consecutive_failures += 1
            log.exception("bug", chore=job.__name__)
        backoff_s = min(2.0**consecutive_failures, MAX_BACKOFF_S) if consecutive_failures else 0.0
        await asyncio.sleep(max(interval_s, backoff_s))


async def _truncate_log(directory: Directory) -> int:
    return await directory.truncate_log()


async def _publish_queues(directory: Directory) -> int:
    publish_queues(directory.metrics, directory.queues)
    return 0


async def flush(directory: Directory) -> None:
    """Save state that only this process holds; called at shutdown."""
    with contextlib.suppress(DirectoryError):
        await tokens.flush_last_used(directory)


def _counter_retention(directory: Directory) -> int:
    """Return how long counters are kept: as long as the longest of their windows."""
    return max(HOUR, directory.settings.invitation_rate.seconds * SECOND)


async def purge(directory: Directory) -> int:
    """Delete what has expired: credentials, counters, addresses, keys, mails, history, hashes.

    Returns the number of deleted rows.
    """
    purged_count = await purge_credentials(directory) + await _purge_expired(directory)
    purged_count += await purge_mails(directory) + await purge_history(directory)
    purged_count += await purge_invitations(directory)
    purged_count += await purge_former_values(directory)
    return purged_count + await drop_unused_hashes(directory)


async def drop_unused_hashes(directory: Directory) -> int:
    """Drop imported hashes older than DRAGOMAN_IMPORTED_HASHES_DAYS that opened nothing.

    Their users have no password then. Works in small transactions; returns the number of hashes
    that are dropped.
    """
    days = directory.settings.imported_hashes_days
    if not days:
        return 0
    cutoff = now() - days * DAY
    dropped_count = 0
    while True:
        async with directory.begin(system_actor("upkeep")) as tx:
            aged = await imported_hashes.lock_aged(tx, cutoff, HASHES_STEP)
            unused = [found for found in aged if found.is_unused]
            await imported_hashes.drop(tx, [found.user_id for found in unused])
            await imported_hashes.settle(tx, [f.user_id for f in aged if not f.is_unused])
            for found in unused:
                audit.write(
                    tx,
                    AuditAction.DROP_HASH,
                    target_id=found.user_id,
                    tenant_id=found.tenant_id,
                    fields=("password",),
                )
        dropped_count += len(unused)
        if len(aged) < HASHES_STEP:
            return dropped_count
        await asyncio.sleep(HISTORY_PAUSE_S)


async def purge_history(directory: Directory) -> int:
    """Delete entries of the history older than DRAGOMAN_AUDIT_DAYS, in small transactions."""
    if not directory.settings.audit_days:
        return 0
    cutoff = now() - directory.settings.audit_days * DAY
    return await _purge_in_steps(directory, lambda tx: audit.purge(tx, cutoff, HISTORY_STEP))


async def purge_former_values(directory: Directory) -> int:
    """Delete the values from before the updates of imports, in small transactions."""
    cutoff = now() - FORMER_RETENTION
    return await _purge_in_steps(
        directory, lambda tx: import_undo.purge_former(tx, cutoff, HISTORY_STEP)
    )


async def _purge_in_steps(directory: Directory, step: Callable[[Tx], Awaitable[int]]) -> int:
    """Run a step of at most HISTORY_STEP rows until it finds no more; return how many it did."""
    purged_count = 0
    while True:
        async with directory.begin(system_actor("upkeep")) as tx:
            step_count = await step(tx)
        purged_count += step_count
        if step_count < HISTORY_STEP:
            return purged_count
        await asyncio.sleep(HISTORY_PAUSE_S)


async def purge_invitations(directory: Directory) -> int:
    """Delete invitations that ended DRAGOMAN_INVITATION_DAYS ago, in small transactions."""
    days = directory.settings.invitation_days
    if not days:
        return 0
    cutoff = now() - days * DAY
    return await _purge_in_steps(
        directory, lambda tx: invitations.purge(tx, cutoff, LIFETIME, HISTORY_STEP)
    )


async def purge_mails(directory: Directory) -> int:
    """Delete mails older than MAIL_RETENTION, in small transactions."""
    cutoff = now() - MAIL_RETENTION
    return await _purge_in_steps(directory, lambda tx: outbox.purge(tx, cutoff, HISTORY_STEP))


async def purge_credentials(directory: Directory) -> int:
    """Delete expired credentials in small transactions, in one pass over the table."""
    last_id = 0

    async def step(tx: Tx) -> int:
        nonlocal last_id
        ids = await token_store.purge(tx, after=last_id, limit=HISTORY_STEP)
        last_id = ids[-1] if ids else last_id
        return len(ids)

    return await _purge_in_steps(directory, step)


async def _purge_expired(directory: Directory) -> int:
    async with directory.begin(system_actor("upkeep")) as tx:
        purged_count = await sign_in_failures.purge(tx, tx.now - _counter_retention(directory))
        purged_count += await sign_in_failures.purge_addresses(tx, tx.now - ADDRESS_RETENTION)
        return purged_count + await signing_keys.purge(tx, tx.now - jwt_keys.RETIRED_KEY_LIFETIME)
