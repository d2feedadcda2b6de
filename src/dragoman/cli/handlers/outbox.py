"""``dragoman outbox``: list mails, try them again, drop them, send a test mail."""

from __future__ import annotations

import asyncio

import msgspec

from dragoman import app
from dragoman.actions import outbox
from dragoman.actions.directory import Directory
from dragoman.actions.steps import key_check
from dragoman.cli import render
from dragoman.cli.batch import change_each
from dragoman.cli.errors import CONFLICT, ERROR, NOT_FOUND, USAGE, CliError, echo
from dragoman.cli.session import command_line_actor, has_key, run
from dragoman.jobs import mail_delivery, mail_test
from dragoman.jobs.mail.smtp import NotSent
from dragoman.rules.errors import InUse, NotFound
from dragoman.rules.fields import email_problems
from dragoman.store.outbox import OutboxMessage

WAITING, SENT, FAILED = "waiting", "sent", "failed"
COLUMNS = ("id", "kind", "recipient", "state", "attempts", "created_at", "last_error")


class MailOut(msgspec.Struct, frozen=True):
    """A mail in the outbox; ``text``, which holds a valid link, only while the mail is waiting."""

    id: int
    kind: str
    recipient: str | None
    state: str
    attempts: int
    created_at: str | None
    last_error: str | None
    text: str | None


def list_mails(output_format: str, *, limit: int) -> None:
    """Show the newest mails of the outbox; ``limit`` is the maximum number of mails."""
    key_found = has_key(app.load_settings())

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        show_text = key_found and await key_check.matches(read, directory) is not False
        messages = await outbox.list_latest(read, limit)
        rows = [await _mail_out(directory, message, show_text=show_text) for message in messages]
        writer = render.ListWriter(output_format, COLUMNS, MailOut)
        writer.add(rows)
        writer.close()
        if output_format == "table":
            for mail in rows:
                if mail.text:
                    render.show_text(f"\n--- {mail.id}, to {mail.recipient}\n{mail.text.rstrip()}")
        if not show_text and any(mail.state == WAITING for mail in rows):
            problem = "is not this database's" if key_found else "not found"
            echo([f"Server key {problem}, mail texts are not shown: set DRAGOMAN_SECRET_KEY"])

    run(work)


async def _mail_out(directory: Directory, message: OutboxMessage, *, show_text: bool) -> MailOut:
    state = SENT if message.sent_at else FAILED if message.failed_at else WAITING
    return MailOut(
        id=message.id,
        kind=message.kind,
        recipient=message.recipient or None,
        state=state,
        attempts=message.attempts,
        created_at=render.timestamp(message.created_at),
        last_error=message.last_error or None,
        text=await mail_delivery.preview(directory, message)
        if show_text and state == WAITING
        else None,
    )


def retry(mail_ids: tuple[int, ...]) -> None:
    """Make mails due now, each separately; without ids, all that were given up."""

    async def work(directory: Directory) -> None:
        async def retry_one(mail_id: str) -> None:
            try:
                async with directory.begin(command_line_actor()) as tx:
                    message = await outbox.retry(tx, int(mail_id))
            except NotFound:
                raise CliError(NOT_FOUND, f"mail {mail_id} not found") from None
            except InUse:
                raise CliError(CONFLICT, f"mail {mail_id} was sent already") from None
            echo([f"Mail {mail_id} to {message.recipient} is due now"])

        ids = mail_ids or await outbox.list_failed(directory.read(command_line_actor()))
        if not ids:
            echo(["No mail has failed"])
        _, error = await change_each([str(mail_id) for mail_id in ids], retry_one)
        if error is not None:
            raise error
        if ids and not directory.settings.smtp_url:
            echo(["No mail server is set, so mails stay in the outbox: see DRAGOMAN_SMTP_URL"])

    run(work)


def drop(mail_ids: tuple[int, ...]) -> None:
    """Delete mails, each separately."""

    async def work(directory: Directory) -> None:
        async def drop_one(mail_id: str) -> None:
            try:
                async with directory.begin(command_line_actor()) as tx:
                    await outbox.drop(tx, int(mail_id))
            except NotFound:
                raise CliError(NOT_FOUND, f"mail {mail_id} not found") from None
            echo([f"Deleted mail {mail_id}"])

        _, error = await change_each([str(mail_id) for mail_id in mail_ids], drop_one)
        if error is not None:
            raise error

    run(work)


def send_test(address: str) -> None:
    """Send a test mail at once; raises CliError if that fails."""
    if not address or email_problems(address):
        raise CliError(USAGE, f"{address!r} is not a valid e-mail address")
    settings = app.load_settings()
    if not settings.smtp_url:
        raise CliError(ERROR, "no mail server is set: see DRAGOMAN_SMTP_URL")
    try:
        asyncio.run(mail_test.send(settings, address))
    except ValueError:
        raise CliError(
            ERROR, f"DRAGOMAN_MAIL_FROM: {settings.mail_from!r} is not a valid e-mail address"
        ) from None
    except NotSent as error:
        raise CliError(
            ERROR, f"the test mail was not sent: {error.summary}", "see DRAGOMAN_SMTP_URL"
        ) from None
    echo([f"The mail server accepted a test mail to {address}, from {settings.mail_from}"])
