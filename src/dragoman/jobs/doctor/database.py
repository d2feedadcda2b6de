"""Checks of a migrated database, of its contents and of the outbox."""

from __future__ import annotations

import stat
from pathlib import Path

from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys, key_check
from dragoman.actions.system import system_actor
from dragoman.jobs.doctor import backups, clocks, erasures, password_hashes, retention
from dragoman.jobs.doctor.finding import OK, Finding, fail, ok, ok_or_fail, warn
from dragoman.rules.model import MINUTE
from dragoman.settings import Settings
from dragoman.store import diagnostics, users
from dragoman.store.drivers import sqlite_library
from dragoman.store.transaction import Read
from dragoman.store.user_lists import counters

SYNCHRONOUS_FULL = 2
"""The value of ``PRAGMA synchronous`` with which a commit survives a power failure."""
MIN_POSTGRESQL_VERSION = 14
MAX_MAIL_DELAY = 10 * MINUTE
"""Age of the oldest waiting mail that is reported (microseconds)."""
MAX_NAMES = 10
"""Maximum number of users that a finding names."""
MAX_COUNTER_READS = 3
"""How often counters are compared before a difference is reported."""


async def check_database(directory: Directory, *, key_found: bool = True) -> list[Finding]:
    """Check a migrated database and its contents; raises Unavailable.

    ``key_found``: the directory has the server's key, and not one that a command made for itself.
    """
    read = directory.read(system_actor("checkup"))
    path = directory.settings.sqlite_path
    findings = (
        await _check_sqlite(read, path) if path is not None else await _check_postgresql(read)
    )
    findings += [await _check_counters(read), await _check_outbox(read, directory.settings)]
    findings.append(await _check_passwords(read))
    findings += await password_hashes.check(read, directory.settings)
    findings.append(await _check_server_key(read, directory, key_found=key_found))
    if findings[-1].state == OK:
        findings.append(await _check_signing_key(read, directory))
    findings.append(await _check_address_keys(read))
    findings.append(await _check_sign_ups(read))
    findings.append(await erasures.check(read, directory.settings.erasures_path))
    findings.append(await retention.check(read, directory.settings))
    findings.append(await backups.check(read, directory.settings))
    findings.append(await clocks.check(read, directory.settings))
    if directory.settings.admin_password and await users.has_ever_had_users(read):
        findings.append(
            warn(
                "first superadmin",
                "DRAGOMAN_ADMIN_PASSWORD is still set, but no longer used",
                "who reads the settings may sign in with it, if it was not changed",
                "remove it from the settings",
            )
        )
    return findings


async def _check_sqlite(read: Read, path: Path) -> list[Finding]:
    info = await diagnostics.sqlite_info(read)
    return [
        ok("sqlite", f"{info.version} ({sqlite_library.NAME})"),  # another one is refused
        ok_or_fail(
            "durability",
            info.journal_mode == "wal" and info.synchronous >= SYNCHRONOUS_FULL,
            f"journal {info.journal_mode}, synchronous {info.synchronous}",
            "a power failure may lose changes that were acknowledged",
            "must be journal wal and synchronous 2; is the file on a network drive?",
        ),
        ok_or_fail(
            "integrity",
            info.quick_check == "ok",
            info.quick_check,
            "the file is damaged, and answers may be wrong",
            "stop the server, and run 'dragoman restore' with the newest backup",
        ),
        _check_file_mode(path),
    ]


def _check_file_mode(path: Path) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    found, advice = f"{path} has mode {mode:04o}", f"chmod 600 {path}"
    if mode & 0o022:
        return fail("permissions", found, "other users of this machine may change it", advice)
    if mode & 0o044:
        return warn("permissions", found, "other users of this machine may read it", advice)
    return ok("permissions", found)


async def _check_postgresql(read: Read) -> list[Finding]:
    info = await diagnostics.postgres_info(read)
    durable = "off" not in {info.synchronous_commit, info.fsync, info.full_page_writes}
    settings = {
        "synchronous_commit": info.synchronous_commit,
        "fsync": info.fsync,
        "full_page_writes": info.full_page_writes,
    }
    return [
        ok_or_fail(
            "postgresql",
            info.version_num // 10_000 >= MIN_POSTGRESQL_VERSION,
            info.version,
            "statements of this program may fail on it",
            f"upgrade to {MIN_POSTGRESQL_VERSION} or later",
        ),
        ok_or_fail(
            "writable",
            not info.standby,
            "no, this is a standby" if info.standby else "yes",
            "every write is answered with 503",
            "set DRAGOMAN_DATABASE to the primary, or to several hosts with "
            "?target_session_attrs=read-write",
        ),
        ok_or_fail(
            "search",
            info.trigram,
            "pg_trgm" if info.trigram else "no pg_trgm",
            "searches cannot use their index",
            "CREATE EXTENSION pg_trgm",
        ),
        ok_or_fail(
            "durability",
            durable,
            ", ".join(f"{name} {value}" for name, value in settings.items()),
            "a crash may lose changes that were acknowledged",
            "turn these settings on",
        ),
    ]


async def _check_counters(read: Read) -> Finding:
    """Compare counters with rows; concurrent writes cause differences, so only lasting ones count."""
    differences = set((await counters.differences(read)).items())
    for _ in range(MAX_COUNTER_READS - 1):
        if not differences:
            break
        differences &= set((await counters.differences(read)).items())
    return ok_or_fail(
        "counters",
        not differences,
        f"{len(differences)} differ from the rows" if differences else "exact",
        "lists show wrong totals; rows were changed without Dragoman, or this is a bug",
        "run 'dragoman backup', and 'dragoman restore' it into an empty database; report a bug",
    )


async def _check_address_keys(read: Read) -> Finding:
    usernames = await diagnostics.users_without_address_key(read)
    if not usernames:
        return ok("addresses", "each belongs to one user")
    return warn(
        "addresses",
        f"after an upgrade, another user has the address of {', '.join(usernames)}",
        "they sign in by username only",
        "give them another address",
    )


async def _check_server_key(read: Read, directory: Directory, *, key_found: bool) -> Finding:
    found = await key_check.matches(read, directory)
    if found is None:
        return ok("server key", "the database knows none yet; the next start tells it")
    return ok_or_fail(
        "server key",
        found,
        "the one of this database"
        if found
        else "not the one of this database"
        if key_found
        else "missing, but this database was used with one",
        "servers do not start, and those that run are not ready and send no mail",
        "restore that DRAGOMAN_SECRET_KEY or dragoman.key; if it is lost run 'dragoman keys adopt'",
    )


async def _check_signing_key(read: Read, directory: Directory) -> Finding:
    can_unseal = await jwt_keys.can_unseal(read, directory)
    if can_unseal is None:
        return ok("signing key", "none yet; the first sign-in that needs one creates it")
    return ok_or_fail(
        "signing key",
        can_unseal,
        "can be opened" if can_unseal else "sealed with another server key",
        "no JWT can be issued, so nobody signs in at the contracts that use them",
        "restore that DRAGOMAN_SECRET_KEY, or if it is lost run 'dragoman keys adopt'",
    )


async def _check_sign_ups(read: Read) -> Finding:
    """Warn of approved users who claim an e-mail address that nobody has proved or given them."""
    sign_ups = await diagnostics.sign_up_info(read)
    found = (
        f"{sign_ups.unapproved} not approved, {sign_ups.unproven} with an unproven e-mail address"
    )
    if sign_ups.unvouched:
        return warn(
            "sign-ups",
            f"{found}, of whom {sign_ups.unvouched} are approved",
            "these people may have signed up with the address of somebody else",
            "see 'dragoman users list --unproven --from-sign-up'",
        )
    return ok("sign-ups", found)


async def _check_passwords(read: Read) -> Finding:
    """Name owners and platform administrators whose passwords turned out too weak."""
    names = await diagnostics.weak_passwords(read)
    if not names:
        return ok("passwords", "no owner or administrator is known to have a weak one")
    shown = ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")
    found = f"too weak for an owner or administrator: {shown} ({len(names)})"
    return warn(
        "passwords",
        found,
        "who guesses one manages other people",
        "ask them to change it, or run 'dragoman users set-password USER'",
    )


async def _check_outbox(read: Read, settings: Settings) -> Finding:
    queue = await diagnostics.outbox_info(read)
    found = f"{queue.pending} waiting, {queue.failed} given up"
    if queue.failed:
        return warn(
            "outbox",
            found,
            "their recipients got no mail, and no other attempt is made",
            "run 'dragoman outbox' to see why",
        )
    if settings.smtp_url and queue.pending and read.now - queue.oldest_at > MAX_MAIL_DELAY:
        return warn(
            "outbox",
            found,
            "people wait for links that end after hours",
            "check that 'dragoman serve' runs and that the mail server responds",
        )
    return ok("outbox", found)
