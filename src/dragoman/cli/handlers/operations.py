"""``dragoman migrate``, ``tokens create`` and ``outbox``."""

from __future__ import annotations

import asyncio

import msgspec

from dragoman import app
from dragoman.actions import tokens
from dragoman.actions.directory import Directory
from dragoman.actions.steps import key_check
from dragoman.cli import render
from dragoman.cli.errors import ERROR, USAGE, CliError, echo
from dragoman.cli.lookup import get_user
from dragoman.cli.session import (
    command_line_actor,
    database_version,
    has_key,
    run,
)
from dragoman.jobs import mail_delivery
from dragoman.rules import policy
from dragoman.settings import Settings
from dragoman.store import migrate as migrations
from dragoman.store import outbox as outbox_store
from dragoman.store.outbox import OutboxMessage

WAITING, SENT, FAILED = "waiting", "sent", "failed"
MAIL_COLUMNS = ("id", "kind", "recipient", "state", "attempts", "created_at", "last_error")


def migrate() -> None:
    """Apply all pending migrations."""

    async def work(settings: Settings) -> None:
        previous_version = await database_version(settings)
        await migrations.upgrade(settings.database, report=lambda line: echo([line]))
        if previous_version == migrations.HEAD_REVISION:
            echo([f"The database is already at migration {previous_version}"])
        else:
            echo([f"Migrated the database to {migrations.HEAD_REVISION}"])

    asyncio.run(work(app.load_settings()))


class TokenOut(msgspec.Struct, frozen=True):
    """A new credential; the only output that contains its secret."""

    contract: str
    user_id: int
    username: str
    credential: str


def create_token(user_ref: str, contract: str, output_format: str, *, is_id: bool) -> None:
    """Create a credential and show it.

    Args:
        user_ref: a username, an e-mail address or an id.
        contract: the contract at which the credential is valid.
        output_format: ``table``, ``json`` or ``ndjson``.
        is_id: whether ``user_ref`` is an id, even if it is also a username.

    Raises:
        CliError: the contract is not enabled, its credentials are signed and the server key is not
            available, or the user is not approved and the contract knows approved users only.
    """
    contracts = app.enabled_contracts(app.load_settings())
    if contract not in contracts:
        raise CliError(
            USAGE, f"contract {contract!r} is not enabled (enabled: {', '.join(contracts)})"
        )
    credential_format = app.credential_format(contract)
    if credential_format.claims is not None and not has_key(app.load_settings()):
        raise CliError(ERROR, "server key not found: set DRAGOMAN_SECRET_KEY")

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        user = await get_user(directory.read(actor), user_ref, is_id=is_id)
        actor = msgspec.structs.replace(actor, restrictions=app.restrictions(contract))
        if not policy.exists_for(actor, approved=user.approved):
            raise CliError(
                ERROR,
                f"user {user.username} is not approved, so contract {contract!r} does not know it "
                f"(run 'dragoman users approve {user.username}')",
            )
        async with directory.begin(actor) as tx:
            secret = (await tokens.issue(tx, directory, user.id, credential_format)).secret
        if output_format == "table":
            render.show_text(secret)
            echo(
                [f"Created a {contract} credential for user {user.username}; it is not shown again"]
            )
        else:
            render.show_record(TokenOut(contract, user.id, user.username, secret), output_format)

    run(work)


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


def outbox(output_format: str, *, limit: int) -> None:
    """Show the newest mails of the outbox; ``limit`` is the maximum number of mails."""
    key_found = has_key(app.load_settings())

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        show_text = key_found and await key_check.matches(read, directory) is not False
        messages = await outbox_store.list_latest(read, limit)
        rows = [await _mail_out(directory, message, show_text=show_text) for message in messages]
        writer = render.ListWriter(output_format, MAIL_COLUMNS)
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
