"""Sends what the outbox holds, after the commit: each mail at least once, with patience."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from dragoman.actions import password_resets
from dragoman.actions.directory import Directory
from dragoman.actions.steps import open_invitations
from dragoman.actions.system import system_actor
from dragoman.jobs.mail import messages
from dragoman.jobs.mail.messages import Letter
from dragoman.jobs.mail.smtp import NotSent, Post
from dragoman.rules import crypto
from dragoman.rules.errors import Failure
from dragoman.rules.model import DAY, HOUR, SECOND
from dragoman.store import invitations, one_time_secrets, outbox, users
from dragoman.store.outbox import Waiting

T = TypeVar("T")

BATCH = 100
"""How many mails go over one connection."""
LEASE = 60 * SECOND
PAUSES_S = (10, 60, 300, 1800, 7200)
"""How long to wait after each failure, the last one again and again; give or take a fifth."""
PATIENCE = DAY
GRACE_S = 2.0
"""How long the end of the program waits for a mail that is on its way."""

log: Any = structlog.get_logger()
_POSTMAN = system_actor("mails")


class _Outcome(Enum):
    SENT = "sent"
    DROPPED = "dropped"
    FAILED = "failed"
    OUTAGE = "outage"


async def send_due(directory: Directory) -> int:
    """Send what is due; returns how many went out.

    Without a mail server in the settings everything stays in the outbox. What cannot be sent is
    tried again for a day; what has lost its cause is dropped. Raises Unavailable.
    """
    settings = directory.settings
    if not settings.smtp_url or not await outbox.due(directory.read(_POSTMAN)):
        return 0
    count = 0
    post = Post(settings.smtp_url, settings.public_url)
    try:
        for _ in range(BATCH):
            waiting = await _lease(directory)
            if waiting is None:
                break
            outcome = await _to_its_end(_handle(directory, post, waiting))
            count += outcome is _Outcome.SENT
            if outcome is _Outcome.OUTAGE:
                break
    except BaseException:
        post.leave()
        raise
    await post.close()
    return count


async def preview(directory: Directory, waiting: Waiting) -> str | None:
    """Return the text of a waiting mail, its link included, for the operator to pass on.

    None for what was sent, was given up, has lost its cause, or is of a kind unknown here.
    """
    if waiting.sent_at or waiting.failed_at or waiting.kind not in KINDS:
        return None
    letter = await KINDS[waiting.kind](directory, waiting)
    return None if letter is None else messages.text(letter)


async def _lease(directory: Directory) -> Waiting | None:
    async with directory.begin(_POSTMAN) as tx:
        leased = await outbox.lease(tx, until=tx.now + LEASE, limit=1)
    return leased[0] if leased else None


async def _handle(directory: Directory, post: Post, waiting: Waiting) -> _Outcome:
    """Send one mail, drop it or postpone it; whatever is wrong with it, the next ones go on."""
    read = directory.read(_POSTMAN)
    try:
        letter = await KINDS[waiting.kind](directory, waiting)
        if letter is None:
            async with directory.begin(_POSTMAN) as tx:
                await outbox.remove(tx, waiting.id)
            log.info("mail_dropped", mail=waiting.id, kind=waiting.kind)
            return _Outcome.DROPPED
        message = messages.compose(
            letter,
            sender=directory.settings.mail_from,
            message_id=crypto.derive(directory.key, "mail", waiting.id, waiting.created_at),
            at=read.now,
        )
        await post.send(message)
    except Failure:
        raise  # the database cannot serve; the lease ends by itself
    except NotSent as fault:
        await _later(directory, waiting, fault.error, give_up=fault.permanent)
        return _Outcome.OUTAGE if fault.outage else _Outcome.FAILED
    except Exception as fault:  # noqa: BLE001 - a bug in one mail is not the end of all mails
        await _later(directory, waiting, type(fault).__name__, at=_place_of(fault))
        return _Outcome.FAILED
    async with directory.begin(_POSTMAN) as tx:
        await outbox.sent(tx, waiting.id)
    log.info("mail_sent", mail=waiting.id, kind=waiting.kind, attempts=waiting.attempts)
    return _Outcome.SENT


async def _later(
    directory: Directory, waiting: Waiting, error: str, *, give_up: bool = False, **where: str
) -> None:
    """Postpone a mail, or give it up; ``error`` and the log never hold what it says."""
    pause = PAUSES_S[min(waiting.attempts, len(PAUSES_S)) - 1]
    jitter = random.uniform(0.8, 1.2)  # noqa: S311 - servers that fail together come back apart
    async with directory.begin(_POSTMAN) as tx:
        give_up = give_up or tx.now - waiting.created_at > PATIENCE
        due_at = tx.now + round(pause * jitter * SECOND)
        await outbox.postpone(tx, waiting.id, due_at=due_at, last_error=error, give_up=give_up)
    tell = log.error if give_up or where else log.warning
    tell(
        "mail_given_up" if give_up else "mail_postponed",
        mail=waiting.id, kind=waiting.kind, attempts=waiting.attempts, error=error, **where,
    )  # fmt: skip


def _place_of(fault: Exception) -> str:
    """Say where a bug is; its own words may hold what nobody should read."""
    place = fault.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await; if the program ends meanwhile, give the mail on its way a moment to be noted."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=GRACE_S)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Failure):
            await task
        raise


class _Generation(msgspec.Struct):
    """The payload of a mail with a one-time secret: which one it was written for."""

    generation: int


async def _reset(directory: Directory, waiting: Waiting) -> Letter | None:
    """The link for a new password; None where it would open nothing any more."""
    wanted = msgspec.json.decode(waiting.payload, type=_Generation).generation
    read = directory.read(_POSTMAN)
    user = await users.find(read, waiting.user_id or 0)
    if user is None or user.email != waiting.recipient:
        return None
    row = await one_time_secrets.find(read, user.id, password_resets.RESET)
    if not password_resets.is_open(row, user, read.now) or row.generation != wanted:
        return None
    secret = password_resets.reset_secret(directory, row)
    return Letter(
        template="reset",
        recipient=waiting.recipient,
        subject="Choose a new password",
        facts={
            "link": f"{directory.settings.public_url}/wiwebb/reset/{user.public_id}/{secret}",
            "hours": round((row.expires_at - waiting.created_at) / HOUR),
            "until": _told(row.expires_at),
        },
    )


class _Sending(msgspec.Struct):
    """The payload of an invitation's mail: which one, and which of its links."""

    invitation: str
    generation: int


async def _invitation(directory: Directory, waiting: Waiting) -> Letter | None:
    """The link to join a tenant; None where it would open nothing any more."""
    wanted = msgspec.json.decode(waiting.payload, type=_Sending)
    shown = await open_invitations.find_open(directory.read(_POSTMAN), wanted.invitation)
    if shown is None:
        return None
    invitation = shown.invitation
    if (invitation.generation, invitation.email) != (wanted.generation, waiting.recipient):
        return None
    secret = open_invitations.secret_of(directory, invitation)
    return Letter(
        template="invitation",
        recipient=waiting.recipient,
        subject="You are invited",
        facts={
            "link": f"{directory.settings.public_url}/vsay/accept/{secret}",
            "organisation": messages.harmless(shown.tenant.name),
            "until": _told(invitation.expires_at),
        },
    )


def _told(moment: int) -> str:
    """Return a moment (microseconds) as a mail tells it."""
    return f"{datetime.fromtimestamp(moment // SECOND, UTC):%Y-%m-%d %H:%M} UTC"


KINDS: dict[str, Callable[[Directory, Waiting], Awaitable[Letter | None]]] = {
    password_resets.RESET: _reset,
    invitations.KIND: _invitation,
}
"""What makes a letter of each kind of mail; None where its cause is gone."""
