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
    Aviary,
    database_places,
    process_places,
    sightings,
    strays,
)
from tests.attack.canary_astray import misplaced, while_broken
from tests.attack.canary_drive import LINK, Drive, by_mail, well_done
from tests.authorization.rows import open_rows
from tests.cli.terminal import Terminal
from tests.faults.processes import workers
from tests.support.databases import Shelf
from tests.support.mailbox import Mailbox, mailbox, text_of
from tests.support.server import Server, dragoman, environment

BROKEN = ("audit", "tokens", "failures")
"""Tables that are away for a while: what writes, what knows a credential, what counts guesses."""
LONG_S = 30.0
SHARE = {"sqlite": 0.5, "postgresql": 0.2}
"""Which part of the wrong places is tried: what is done to them does not depend on the database."""


class Settled:
    """A server whose every secret came out of a file, and is a canary."""

    def __init__(self, aviary: Aviary, url: str, folder: Path, smtp: str) -> None:
        self.database = url
        self.key = aviary.plain("server key")
        self.admin = aviary.password("admin password")
        parts = urlsplit(url)
        self.told = url
        if parts.scheme.startswith("postgres"):  # the server trusts us: any password will do
            there = aviary.plain("database password")
            user = f"{parts.username or 'postgres'}:{there.secret}"
            self.told = urlunsplit(
                parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}")
            )
        raw = hashlib.sha256(self.key.secret.encode()).digest()
        aviary.given("derived key in hex", raw.hex())
        aviary.given("derived key in base64", base64.b64encode(raw).decode().rstrip("="))
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
        }
        (folder / "private").mkdir()
        for name, value in files.items():
            path = folder / "private" / name
            path.write_text(value + "\n")
            self.settings[f"DRAGOMAN_{name}_FILE"] = str(path)


@pytest.fixture
def settled(
    shelf: Shelf, backend: str, tmp_path: Path
) -> Iterator[tuple[Settled, Aviary, Mailbox]]:
    aviary = Aviary()
    with shelf.blank(backend) as url, mailbox() as box:
        yield Settled(aviary, url, tmp_path, box.url), aviary, box


def test_no_secret_strays(settled: tuple[Settled, Aviary, Mailbox], tmp_path: Path) -> None:
    """Every operation, done and refused; secrets in wrong places; a broken database; commands."""
    settings, aviary, box = settled
    server = Server(settings.settings, tmp_path)
    server.start()
    try:
        drive = Drive(server.url, aviary)
        places = drive.places
        root = well_done(drive, settings.admin.secret)
        by_mail(drive, box, root, secret_of)
        misplaced(drive, root, SHARE[urlsplit(settings.database).scheme])
        places |= process_places(server.pid, *workers(server))
        places |= {f"early {k}": v for k, v in database_places(settings.database).items()}
        for table in BROKEN:
            with away(settings.database, table):
                while_broken(drive, settings.admin, root)
        for path in ("/metrics", "/healthz", "/readyz", "/", "/vsay/docs", "/wiwebb/openapi.json"):
            drive.call("GET", path)
        places |= commands(settings, aviary, tmp_path)
        drive.http.close()
    finally:
        server.kill()
    places |= {
        f"{name} of the server": (tmp_path / name).read_bytes() for name in ("stdout", "stderr")
    }
    places |= {f"{k} at the end": v for k, v in database_places(settings.database).items()}
    places |= mails(box)
    found = strays(aviary.all, places)
    assert not found, "\n".join(found[:40])
    failed = {status for _, status in drive.statuses if status >= 500}
    assert 500 in failed, "nothing was broken"
    assert b'"event":"bug"' in places["stderr of the server"]
    assert b'"event":"request"' in places["stderr of the server"]
    at_home(aviary, places, len(box.mails))


def at_home(aviary: Aviary, places: dict[str, bytes], mailed: int) -> None:
    """What is given out is found there, and only what nobody gave is found nowhere."""
    given = {c.what for c in aviary.all if c.belongs and not c.what.startswith("misplaced")}
    seen = {what for what, _, spelling in sightings(aviary.all, places) if spelling == "raw"}
    assert given <= seen, given - seen
    assert len(given) > 20 + mailed
    assert mailed == 4
    assert sum(c.what.startswith("misplaced") for c in aviary.all) > 100


def secret_of(drive: Drive, box: Mailbox, address: str) -> str:
    """Return what follows the link's head in the next mail to an address, and take it in."""
    mail = asyncio.run(box.next_to(address))
    assert mail is not None
    found = LINK.search(text_of(mail))
    assert found is not None
    secret = found[1]
    drive.aviary.given(f"mailed to {address}", secret.rpartition("/")[2], f"text for {address}")
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
def away(database: str, table: str) -> Iterator[None]:
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


def commands(settings: Settled, aviary: Aviary, folder: Path) -> dict[str, bytes]:
    """Run what an operator runs; return what each said, and what a waiting one shows of itself."""
    found: dict[str, bytes] = {}

    def run(*words: str, stdin: str = "", works: bool = True) -> str:
        env = {k: v for k, v in settings.settings.items() if k != "DRAGOMAN_DATABASE"}
        terminal = Terminal(settings.told, folder)
        terminal.settings = env
        said = terminal.run(*words, stdin=stdin)
        assert (said.code == 0) == works, (words, said)
        place = f"command {len(found)}: {' '.join(words[:2])}"
        found[place] = (said.out + said.err).encode()
        return place

    new = aviary.password("command line").secret
    person = ["users", "create", "--username", "cleo", "--email", "cleo@fresh.test"]
    person += ["--role", "member", "--tenant", "main", "--password-stdin"]
    found |= waiting(settings, folder, person, new)
    run(*person, stdin=new, works=False)
    long = aviary.password("too long").secret * 40
    run("users", "set-password", "cleo", "--password-stdin", stdin=long, works=False)
    run("users", "set-password", "cleo", "--password-stdin", stdin=aviary.password("set").secret)
    for contract in ("wiwebb", "binacle", "vsay"):
        place = run("tokens", "create", "--user", "cleo", "--contract", contract, "-o", "json")
        told = found[place].decode().partition('"credential"')[2].split('"')[1]
        aviary.given(f"credential by {place}", told, place)
    for words in (
        ["keys", "rotate"], ["keys", "list", "-o", "json"], ["outbox", "-o", "json"],
        ["users", "list", "-o", "json"], ["users", "show", "cleo", "-o", "json"], ["tenants", "list"],
    ):  # fmt: skip
        run(*words)
    for form in ("table", "json"):
        run("doctor", "-o", form)
    smtp = aviary.plain("mail password").secret
    settings.settings["DRAGOMAN_SMTP_URL"] = f"smtp://dragoman:{smtp}@127.0.0.1:9"
    said = Terminal("", folder)
    said.settings = dict(settings.settings)
    for number, words in enumerate((["doctor"], ["doctor", "-o", "json"], ["outbox"])):
        done = said.run(*words)
        found[f"dead mail {number}"] = (done.out + done.err).encode()
    return found


def waiting(settings: Settled, folder: Path, words: list[str], secret: str) -> dict[str, bytes]:
    """Run a command that gets a secret by its standard input; look at it while it waits."""
    process = subprocess.Popen(
        [*dragoman(), *words],
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
