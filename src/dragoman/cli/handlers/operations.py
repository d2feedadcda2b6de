"""What the operator's commands do: migrate, credentials, outbox, doctor."""

from __future__ import annotations

import asyncio

import msgspec

from dragoman import app, server_key
from dragoman.actions import tokens
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.errors import ERROR, USAGE, Told, speak, tell
from dragoman.cli.handlers.users import named
from dragoman.cli.session import command_line, has_key, keyed, run, stands_at
from dragoman.jobs import doctor as checks
from dragoman.jobs import mail_delivery
from dragoman.jobs.doctor import FAIL, OK, WARN, Finding
from dragoman.rules.errors import Failure
from dragoman.settings import Settings, SettingsError, load
from dragoman.store import migrate as migrations
from dragoman.store import outbox as mails
from dragoman.store.outbox import Waiting

WAITING, SENT, FAILED = "waiting", "sent", "failed"
MAIL_COLUMNS = ("id", "kind", "recipient", "state", "attempts", "created_at", "last_error")


def migrate() -> None:
    """Bring the database to the newest schema."""

    async def work(settings: Settings) -> None:
        before = await stands_at(settings)
        await migrations.upgrade(settings.database)
        if before == migrations.HEAD:
            tell([f"the database stands at migration {before} already"])
        else:
            tell([f"the database stands at migration {migrations.HEAD} now"])

    asyncio.run(work(load()))


class TokenOut(msgspec.Struct, frozen=True):
    """A new credential, shown this once."""

    contract: str
    user_id: int
    username: str
    credential: str


def create_token(name: str, contract: str, form: str, *, is_id: bool) -> None:
    """Make a credential and show it."""
    served = app.contracts_of(load())
    if contract not in served:
        raise Told(USAGE, f"no contract {contract!r} is served (there are: {', '.join(served)})")
    kind = app.kind_of(contract)
    if kind.claims is not None and not has_key(load()):
        raise Told(ERROR, "the server's key is not here: set DRAGOMAN_SECRET_KEY")

    async def work(directory: Directory) -> None:
        actor = command_line()
        user = await named(directory.read(actor), name, is_id=is_id)
        async with directory.begin(actor) as tx:
            secret = (await tokens.issue(tx, directory, user.id, kind)).secret
        if form == "table":
            render.line(secret)
            tell([f"a credential of {user.username} at {contract}; it is not shown again"])
        else:
            render.one(TokenOut(contract, user.id, user.username, secret), form)

    run(work)


class MailOut(msgspec.Struct, frozen=True):
    """A mail of the outbox; ``text``, with its live link, only while it waits."""

    id: int
    kind: str
    recipient: str | None
    state: str
    attempts: int
    created_at: str | None
    last_error: str | None
    text: str | None


def outbox(form: str, *, limit: int) -> None:
    """Show what the outbox holds."""
    links = has_key(load())

    async def work(directory: Directory) -> None:
        held = await mails.latest(directory.read(command_line()), limit)
        shown = [await _mail(directory, waiting, links=links) for waiting in held]
        lines = render.Listing(form, MAIL_COLUMNS)
        lines.add(shown)
        lines.end()
        if form == "table":
            for mail in shown:
                if mail.text:
                    render.line(f"\n--- {mail.id}, to {mail.recipient}\n{mail.text.rstrip()}")
        if not links and any(mail.state == WAITING for mail in shown):
            tell(["the server's key is not here, so no text is shown: set DRAGOMAN_SECRET_KEY"])

    run(work)


async def _mail(directory: Directory, waiting: Waiting, *, links: bool) -> MailOut:
    state = SENT if waiting.sent_at else FAILED if waiting.failed_at else WAITING
    return MailOut(
        id=waiting.id,
        kind=waiting.kind,
        recipient=waiting.recipient or None,
        state=state,
        attempts=waiting.attempts,
        created_at=render.moment(waiting.created_at),
        last_error=waiting.last_error or None,
        text=await mail_delivery.preview(directory, waiting)
        if links and state == WAITING
        else None,
    )


def doctor(form: str) -> None:
    """Examine everything and show what was found; raises Told if something fails."""
    findings = asyncio.run(_examine())
    if form == "table":
        for finding in findings:
            advice = f" -> {finding.advice}" if finding.advice else ""
            render.state(finding.state, f"{finding.check}: {finding.found}{advice}")
    else:
        lines = render.Listing(form, ())
        lines.add(findings)
        lines.end()
    failed = sum(finding.state == FAIL for finding in findings)
    warned = sum(finding.state == WARN for finding in findings)
    if failed:
        raise Told(ERROR, f"{failed} of {len(findings)} checks fail, {warned} warn")
    tell([f"nothing fails, {warned} of {len(findings)} checks warn"])


async def _examine() -> list[Finding]:
    try:
        settings = load()
        app.contracts_of(settings)
    except SettingsError as fault:
        return [
            Finding("settings", FAIL, line, "nothing starts before this is right")
            for line in fault.lines
        ]
    findings = checks.of_settings(settings, server_key.key_file(settings))
    where = checks.place(settings.database)
    try:
        version = await stands_at(settings)
        path = settings.sqlite_path
        there = path is None or path.exists()
        findings.append(Finding("database", OK, where if there else f"{where}, not there yet"))
        findings.append(_migrations(version))
        if version == migrations.HEAD:
            async with app.opened(keyed(settings)) as directory:
                findings += await checks.of_database(directory)
    except (Failure, Told, SettingsError) as fault:
        _, lines = speak(fault) or (ERROR, [])
        found = f"{where}: {'; '.join(lines)}"
        findings.append(Finding("database", FAIL, found, "see DRAGOMAN_DATABASE"))
    return findings


def _migrations(version: str) -> Finding:
    if version == migrations.HEAD:
        return Finding("migrations", OK, version)
    found = f"at {version or 'none'}, this program needs {migrations.HEAD}"
    return Finding("migrations", FAIL, found, "run 'dragoman migrate'")
