"""Judges settings, database and outbox: what is well, what is unsafe, what is broken."""

from __future__ import annotations

import ipaddress
import re
import stat
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys
from dragoman.actions.system import system_actor
from dragoman.rules.model import MINUTE
from dragoman.settings import Settings
from dragoman.store import diagnostics, users
from dragoman.store.transaction import Read
from dragoman.store.user_lists import counters

OK, WARN, FAIL = "ok", "warn", "fail"
SOUND_SQLITE = (3, 51, 3)
"""Earlier ones may corrupt the file when the write-ahead log starts anew."""
FULL = 2
OLDEST_POSTGRESQL = 14
LATE = 10 * MINUTE
TRIES = 3


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: its state, what was found, and what to do about it."""

    check: str
    state: str
    found: str
    advice: str = ""


_POSTGRESQL = re.compile(
    r"(?:(?P<user>[\w.%+-]+)(?::[^@]*)?@)?"
    r"(?P<where>[\w.-]*(?::\d+)?(?:,[\w.-]+(?::\d+)?)*(?:/[\w.%-]*)?)(?:\?[^@]*)?"
)


def place(database: str) -> str:
    """Return where a database is, without anybody's password."""
    if database.startswith("sqlite:///"):
        return f"SQLite, {database.removeprefix('sqlite:///')}"
    found = _POSTGRESQL.fullmatch(database.partition("://")[2])
    if found is None:
        return "PostgreSQL"  # an address so odd that nobody can say where its password ends
    user = f"{found['user']}@" if found["user"] else ""
    return f"PostgreSQL, {user}{found['where']}"


# --------------------------------------------------------------------------- settings


def of_settings(settings: Settings, key_file: Path) -> list[Finding]:
    """Judge the settings; ``key_file`` is where the key lies if no setting gives it."""
    return [
        _key(settings, key_file),
        _public_url(settings),
        _rate(settings),
        _mail(settings),
        _proxies(settings),
    ]


def _key(settings: Settings, path: Path) -> Finding:
    if settings.secret_key:
        return Finding("secret key", OK, "from the settings")
    if not path.exists():
        return Finding(
            "secret key",
            WARN,
            f"there is none yet; the next start makes {path}",
            "if there was one, bring it back: links in mails depend on it",
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        found = f"{path} has mode {mode:04o}: other users of this machine may get at it"
        return Finding("secret key", FAIL, found, f"chmod 600 {path}")
    if settings.sqlite_path is None:
        return Finding(
            "secret key",
            WARN,
            f"from {path}",
            "every node needs the same DRAGOMAN_SECRET_KEY",
        )
    return Finding("secret key", OK, f"from {path}")


def _public_url(settings: Settings) -> Finding:
    parts = urlsplit(settings.public_url)
    host = (parts.hostname or "").lower()
    if host in settings.hosts:
        return Finding(
            "public url",
            FAIL,
            f"{host} serves {settings.hosts[host]} alone: links in mails lead nowhere",
            "give DRAGOMAN_PUBLIC_URL a host that DRAGOMAN_HOSTS does not name",
        )
    local = _is_loopback(host)
    if parts.scheme == "http" and not local:
        return Finding(
            "public url",
            WARN,
            f"{settings.public_url}: passwords and credentials travel in the clear",
            "put TLS before it and set DRAGOMAN_PUBLIC_URL to its https address",
        )
    if local and settings.smtp_url:
        return Finding(
            "public url",
            WARN,
            f"links in mails lead to {settings.public_url}, which is this machine alone",
            "set DRAGOMAN_PUBLIC_URL",
        )
    return Finding("public url", OK, settings.public_url)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _rate(settings: Settings) -> Finding:
    rate = settings.anonymous_rate
    if not rate.count:
        return Finding(
            "anonymous rate", WARN, "strangers are not limited", "set DRAGOMAN_ANONYMOUS_RATE"
        )
    return Finding("anonymous rate", OK, f"{rate.count} in {rate.seconds} s for each address")


def _mail(settings: Settings) -> Finding:
    if not settings.smtp_url:
        return Finding(
            "mail",
            WARN,
            "no mail server: mails stay in the outbox",
            "set DRAGOMAN_SMTP_URL, or read them with 'dragoman outbox'",
        )
    if settings.mail_from == Settings().mail_from:
        return Finding(
            "mail", WARN, f"mails come from {settings.mail_from}", "set DRAGOMAN_MAIL_FROM"
        )
    return Finding("mail", OK, f"from {settings.mail_from}")


def _proxies(settings: Settings) -> Finding:
    networks = settings.trusted_proxies
    shown = ", ".join(str(network) for network in networks)
    if any(network.prefixlen == 0 for network in networks):
        return Finding(
            "trusted proxies",
            WARN,
            f"{shown}: anybody can claim any address, and so evade the limits",
            "name the proxies alone in DRAGOMAN_TRUSTED_PROXIES",
        )
    return Finding("trusted proxies", OK, shown or "none")


# --------------------------------------------------------------------------- database


async def of_database(directory: Directory) -> list[Finding]:
    """Judge a database that is migrated, and what it holds; raises Unavailable."""
    read = directory.read(system_actor("checkup"))
    path = directory.settings.sqlite_path
    found = await _sqlite(read, path) if path is not None else await _postgresql(read)
    found += [await _counters(read), await _outbox(read, directory.settings)]
    found.append(await _signing(read, directory))
    if directory.settings.admin_password and await users.ever_any(read):
        found.append(
            Finding(
                "first superadmin",
                WARN,
                "DRAGOMAN_ADMIN_PASSWORD is still set, though it has served its purpose",
                "take it out of the settings",
            )
        )
    return found


def _judged(check: str, well: bool, found: str, advice: str) -> Finding:
    return Finding(check, OK, found) if well else Finding(check, FAIL, found, advice)


async def _sqlite(read: Read, path: Path) -> list[Finding]:
    facts = await diagnostics.sqlite(read)
    version = tuple(int(part) for part in facts.version.split(".") if part.isdigit())
    return [
        _judged(
            "sqlite",
            version >= SOUND_SQLITE,
            facts.version,
            "needs 3.51.3 or later, else the file may be corrupted: update pysqlite3",
        ),
        _judged(
            "durability",
            facts.journal_mode == "wal" and facts.synchronous >= FULL,
            f"journal {facts.journal_mode}, synchronous {facts.synchronous}",
            "needs journal wal and synchronous 2: is the file on a network drive?",
        ),
        _judged("integrity", facts.quick_check == "ok", facts.quick_check, "bring back a backup"),
        _permissions(path),
    ]


def _permissions(path: Path) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    found, advice = f"{path} has mode {mode:04o}", f"chmod 600 {path}"
    if mode & 0o022:
        return Finding("permissions", FAIL, f"{found}: other users may change it", advice)
    if mode & 0o044:
        return Finding("permissions", WARN, f"{found}: other users may read it", advice)
    return Finding("permissions", OK, found)


async def _postgresql(read: Read) -> list[Finding]:
    facts = await diagnostics.postgresql(read)
    durable = "off" not in {facts.synchronous_commit, facts.fsync, facts.full_page_writes}
    settings = {
        "synchronous_commit": facts.synchronous_commit,
        "fsync": facts.fsync,
        "full_page_writes": facts.full_page_writes,
    }
    return [
        _judged(
            "postgresql",
            facts.version_num // 10_000 >= OLDEST_POSTGRESQL,
            facts.version,
            f"needs {OLDEST_POSTGRESQL} or later",
        ),
        _judged(
            "writable",
            not facts.standby,
            "a standby answers" if facts.standby else "yes",
            "name the primary, or several hosts and ?target_session_attrs=read-write",
        ),
        _judged(
            "search",
            facts.trigram,
            "pg_trgm" if facts.trigram else "no pg_trgm",
            "CREATE EXTENSION pg_trgm",
        ),
        _judged(
            "durability",
            durable,
            ", ".join(f"{name} {value}" for name, value in settings.items()),
            "turn on what is off: what was answered may be lost in a crash",
        ),
    ]


async def _counters(read: Read) -> Finding:
    """Compare counters and rows; a difference counts if it stays, for people work meanwhile."""
    gaps = set((await counters.differences(read)).items())
    for _ in range(TRIES - 1):
        if not gaps:
            break
        gaps &= set((await counters.differences(read)).items())
    return _judged(
        "counters",
        not gaps,
        f"{len(gaps)} differ from the rows" if gaps else "exact",
        "rows were changed past Dragoman, or this is a fault of ours: please report it",
    )


async def _signing(read: Read, directory: Directory) -> Finding:
    opened = await jwt_keys.opens(read, directory)
    if opened is None:
        return Finding("signing key", OK, "none yet; the first sign-in that needs one makes it")
    return _judged(
        "signing key",
        opened,
        "opens" if opened else "sealed with another server's key: nobody gets a JWT",
        "bring that DRAGOMAN_SECRET_KEY back; if it is lost, 'dragoman keys rotate'",
    )


async def _outbox(read: Read, settings: Settings) -> Finding:
    mails = await diagnostics.mails(read)
    found = f"{mails.waiting} wait, {mails.failed} were given up"
    if mails.failed:
        return Finding("outbox", WARN, found, "'dragoman outbox' says why")
    if settings.smtp_url and mails.waiting and read.now - mails.oldest > LATE:
        return Finding(
            "outbox", WARN, found, "is the server running, and the mail server answering?"
        )
    return Finding("outbox", OK, found)
