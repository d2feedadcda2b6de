"""Secrets stay where they belong: none in a database, a log, a mail's head, figures or errors."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.attack.canaries import (
    CanaryRegistry,
    database_places,
    find_canaries,
    leaks,
    process_places,
)
from tests.attack.canary_client import LINK, CanaryClient, use_every_contract, use_mailed_secrets
from tests.attack.canary_misuse import send_misplaced_canaries, write_with_missing_table
from tests.support.databases import DatabaseTemplates
from tests.support.mailbox import Mailbox, mailbox, text_of
from tests.support.processes import workers
from tests.support.rows import open_rows
from tests.support.server import Server, dragoman_command, environment
from tests.support.terminal import Terminal

BROKEN = ("audit", "tokens", "failures")
"""Tables that are away for a while: what writes, what knows a credential, what counts guesses."""
LONG_S = 30.0
EVERY = float(os.environ.get("FAULT_SHARE", "5"))
SHARE = {"sqlite": 1 / EVERY, "postgresql": 1 / EVERY}
"""The part of the wrong places that is tried on each database; `make faults` tries all."""


class CanarySettings:
    """A server whose every secret came out of a file, and is a canary."""

    def __init__(self, canaries: CanaryRegistry, url: str, folder: Path, smtp: str) -> None:
        self.database = url
        self.key = canaries.make_token("server key")
        self.admin = canaries.make_password("admin password")
        parts = urlsplit(url)
        self.told = url
        if parts.scheme.startswith("postgres"):  # the server trusts us: any password will do
            there = canaries.make_token("database password")
            user = f"{parts.username or 'postgres'}:{there.secret}"
            self.told = urlunsplit(
                parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}")
            )
        raw = hashlib.sha256(self.key.secret.encode()).digest()
        canaries.register("derived key in hex", raw.hex())
        canaries.register("derived key in base64", base64.b64encode(raw).decode().rstrip("="))
        files = {
            "SECRET_KEY": raw.hex(),
            "ADMIN_PASSWORD": self.admin.secret,
            "DATABASE": self.told,
        }
        self.settings = {
            "DRAGOMAN_ANONYMOUS_RATE": "off",
            "DRAGOMAN_LOG_LEVEL": "debug",
            "DRAGOMAN_ACCESS_LOG": "on",
            "DRAGOMAN_SMTP_URL": smtp,
            "DRAGOMAN_REFRESH_GRACE": "0",  # a refresh token used twice must be refused at once
        }
        (folder / "private").mkdir()
        for name, value in files.items():
            path = folder / "private" / name
            path.write_text(value + "\n")
            self.settings[f"DRAGOMAN_{name}_FILE"] = str(path)


@pytest.fixture
def canary_setup(
    database_templates: DatabaseTemplates, backend: str, tmp_path: Path
) -> Iterator[tuple[CanarySettings, CanaryRegistry, Mailbox]]:
    canaries = CanaryRegistry()
    with database_templates.blank(backend) as url, mailbox() as box:
        yield CanarySettings(canaries, url, tmp_path, box.url), canaries, box


def test_no_secret_leaks(
    canary_setup: tuple[CanarySettings, CanaryRegistry, Mailbox], tmp_path: Path
) -> None:
    """Every operation, done and refused; secrets in wrong places; a broken database; commands."""
    settings, canaries, box = canary_setup
    server = Server(settings.settings, tmp_path, installed=True)  # its environment is searched
    server.start()
    try:
        drive = CanaryClient(server.url, canaries)
        places = drive.places
        root = use_every_contract(drive, settings.admin.secret)
        use_mailed_secrets(drive, box, root, secret_of)
        send_misplaced_canaries(drive, root, SHARE[urlsplit(settings.database).scheme])
        places |= process_places(server.pid, *workers(server))
        places |= {f"early {k}": v for k, v in database_places(settings.database).items()}
        for table in BROKEN:
            with table_missing(settings.database, table):
                write_with_missing_table(drive, settings.admin, root)
        for path in ("/metrics", "/healthz", "/readyz", "/", "/vsay/docs", "/wiwebb/openapi.json"):
            drive.call("GET", path)
        places |= run_commands(settings, canaries, tmp_path)
        drive.http.close()
    finally:
        server.kill()
    places |= {
        f"{name} of the server": (tmp_path / name).read_bytes() for name in ("stdout", "stderr")
    }
    places |= {f"{k} at the end": v for k, v in database_places(settings.database).items()}
    places |= mails(box)
    found = leaks(canaries.canaries, places)
    assert not found, "\n".join(found[:40])
    failed = {status for _, status in drive.statuses if status >= 500}
    assert 500 in failed, "nothing was broken"
    assert b'"event":"bug"' in places["stderr of the server"]
    assert b'"event":"request"' in places["stderr of the server"]
    check_canaries_found(canaries, places, len(box.mails))


def check_canaries_found(canaries: CanaryRegistry, places: dict[str, bytes], mailed: int) -> None:
    """What is given out is found there, and only what nobody gave is found nowhere."""
    given = {
        c.description
        for c in canaries.canaries
        if c.allowed_places and not c.description.startswith("misplaced")
    }
    seen = {
        what for what, _, spelling in find_canaries(canaries.canaries, places) if spelling == "raw"
    }
    assert given <= seen, given - seen
    assert len(given) > 20 + mailed
    assert mailed == 9, "sign-ups and changes of the own address are mailed links too"
    assert sum(c.description.startswith("misplaced") for c in canaries.canaries) > 100


def secret_of(drive: CanaryClient, box: Mailbox, address: str) -> str:
    """Return what follows the link's head in the next mail to an address, and take it in."""
    mail = asyncio.run(box.next_mail_to(address))
    assert mail is not None
    found = LINK.search(text_of(mail))
    assert found is not None
    secret = found[1]
    drive.canaries.register(
        f"mailed to {address}", secret.rpartition("/")[2], f"text for {address}"
    )
    return secret


def mails(box: Mailbox) -> dict[str, bytes]:
    """Return heads and texts of all mails."""
    found: dict[str, bytes] = {}
    for number, mail in enumerate(box.mails):
        address = mail["To"].addresses[0].addr_spec
        head = "\n".join(f"{name}: {value}" for name, value in mail.items())
        found[f"head of mail {number}"] = head.encode()
        bodies = [mail.get_body((kind,)) for kind in ("plain", "html")]
        told = "\n".join(each.get_content() for each in bodies if each is not None)
        found[f"text for {address}"] = told.encode()
    return found


@contextlib.contextmanager
def table_missing(database: str, table: str) -> Iterator[None]:
    """Take a table away from a database for a while."""

    async def rename(old: str, new: str) -> None:
        rows = await open_rows(database)
        try:
            await rows.execute([(f"ALTER TABLE {old} RENAME TO {new}", [])])
        finally:
            await rows.close()

    asyncio.run(rename(table, f"{table}_away"))
    try:
        yield
    finally:
        asyncio.run(rename(f"{table}_away", table))


def run_commands(
    settings: CanarySettings, canaries: CanaryRegistry, folder: Path
) -> dict[str, bytes]:
    """Run what an operator runs; return what each said, and what a waiting one shows of itself."""
    found: dict[str, bytes] = {}

    def run(*words: str, stdin: str = "", works: bool = True) -> str:
        env = {k: v for k, v in settings.settings.items() if k != "DRAGOMAN_DATABASE"}
        terminal = Terminal(settings.told, folder)
        terminal.settings = env
        said = terminal.run(*words, stdin=stdin)
        assert (said.exit_code == 0) == works, (words, said)
        place = f"command {len(found)}: {' '.join(words[:2])}"
        found[place] = (said.stdout + said.stderr).encode()
        return place

    new = canaries.make_password("command line").secret
    person = ["users", "create", "--username", "cleo", "--email", "cleo@fresh.test"]
    person += ["--role", "member", "--tenant", "main", "--password-stdin"]
    found |= inspect_waiting_command(settings, folder, person, new)
    run(*person, stdin=new, works=False)
    long = canaries.make_password("too long").secret * 40
    run("users", "set-password", "cleo", "--password-stdin", stdin=long, works=False)
    run(
        "users",
        "set-password",
        "cleo",
        "--password-stdin",
        stdin=canaries.make_password("set").secret,
    )
    for contract in ("wiwebb", "binacle", "vsay"):
        place = run("tokens", "create", "--user", "cleo", "--contract", contract, "-o", "json")
        told = found[place].decode().partition('"credential"')[2].split('"')[1]
        canaries.register(f"credential by {place}", told, place)
    for words in (
        ["keys", "rotate"], ["keys", "list", "-o", "json"], ["outbox", "-o", "json"],
        ["users", "list", "-o", "json"], ["users", "show", "cleo", "-o", "json"], ["tenants", "list"],
    ):  # fmt: skip
        run(*words)
    for form in ("table", "json"):
        run("doctor", "-o", form)
    smtp = canaries.make_token("mail password").secret
    settings.settings["DRAGOMAN_SMTP_URL"] = f"smtp://dragoman:{smtp}@127.0.0.1:9"
    said = Terminal("", folder)
    said.settings = dict(settings.settings)
    for number, words in enumerate((["doctor"], ["doctor", "-o", "json"], ["outbox"])):
        done = said.run(*words)
        found[f"dead mail {number}"] = (done.stdout + done.stderr).encode()
    return found


def inspect_waiting_command(
    settings: CanarySettings, folder: Path, words: list[str], secret: str
) -> dict[str, bytes]:
    """Run a command that gets a secret by its standard input; look at it while it waits."""
    process = subprocess.Popen(
        [*dragoman_command(), *words],
        cwd=folder,
        env=environment(settings.settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(secret.encode())
        process.stdin.flush()
        shown: dict[str, bytes] = {}
        end = time.monotonic() + LONG_S
        while process.poll() is None and time.monotonic() < end and not shown:
            shown = process_places(process.pid)
            if not any(b"users" in each for each in shown.values()):
                shown = {}
            time.sleep(0.01)
        said, _ = process.communicate(timeout=LONG_S)
    finally:
        process.kill()
        process.wait(LONG_S)
    assert process.returncode == 0, said
    assert shown or not os.path.isdir("/proc")
    return {**shown, "command that waited": said}
