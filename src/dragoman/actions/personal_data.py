"""Everything that is held about one person, as a JSON document that explains itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.transfer.directory_format import to_moment
from dragoman.rules import policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import NotFound
from dragoman.rules.fields import canonical
from dragoman.rules.imported_hashes.prefixes import FLAGS, OTHER, SCHEMES_BY_PREFIX
from dragoman.rules.model import User
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import audit, erasures, personal_data
from dragoman.store.personal_data import SECTIONS, Section
from dragoman.store.transaction import Snapshot, now

FORMAT_VERSION = 1
NOTES = {
    "times": "RFC 3339 in UTC; null means never",
    "other_people": "an id and a role, without names and addresses; null: the command line, a "
    "job, or a person who is gone",
    "password": "only a digest of the password is held, and is not part of this document",
    "sessions": "only digests of credentials are held",
    "sign_in_addresses": "only digests of client addresses are held, to know them again",
    "failed_sign_ins": "an empty digest counts all addresses together",
    "mailed_links": "concerns: what a link acts on, such as a former e-mail address",
    "history": "what this person did, and what was done to its account; values are not recorded",
}


async def export(directory: Directory, actor: Actor, user_id: int) -> AsyncGenerator[bytes]:
    """Yield everything that is held about a person as the pieces of one JSON document.

    The export is written into the history first, and is part of the document. Long lists are read
    in pages, all of them from one state of the directory.

    Args:
        directory: the application's shared state.
        actor: who exports: the person itself, or somebody with the right to.
        user_id: the person; it may be deleted.

    Raises:
        Forbidden, NotFound: the policy refuses.
        Unavailable: the database cannot serve.
    """
    user = await _authorise(directory, actor, user_id)
    meta = {
        "format": "dragoman personal data",
        "version": FORMAT_VERSION,
        "generated_at": to_moment(now()),
        "notes": NOTES,
    }
    yield b'{"_meta": ' + msgspec.json.encode(meta)
    async with directory.snapshot() as snapshot:
        for section in SECTIONS:
            yield b',\n"' + section.name.encode() + b'": '
            async for piece in _pieces(snapshot, section, user):
                yield piece
    yield b"}\n"


async def _authorise(directory: Directory, actor: Actor, user_id: int) -> User:
    """Return the person; write the export into the history."""
    policy.require_reach(actor, Action.EXPORT_DATA, user_id)
    async with directory.begin(actor) as tx:
        found = await erasures.find_any(tx, user_id)
        if found is None or not policy.exists_for(actor, approved=found.user.approved):
            raise NotFound
        policy.require(actor, Action.EXPORT_DATA, found.user)
        audit.write(tx, AuditAction.EXPORT_DATA, target_id=user_id, tenant_id=found.user.tenant_id)
    return found.user


async def _pieces(snapshot: Snapshot, section: Section, user: User) -> AsyncGenerator[bytes]:
    email = user.email if user.holds_email else ""
    rows = personal_data.pages(
        snapshot, section, user_id=user.id, email=email, email_key=canonical(email)
    )
    if section.single:
        async for page in rows:
            yield msgspec.json.encode(_shown(section, page[0]))
        return
    separator = b"["
    async for page in rows:
        for row in page:
            yield separator + b"\n  " + msgspec.json.encode(_shown(section, row))
            separator = b","
    yield b"]" if separator == b"," else b"[]"


def _shown(section: Section, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its times as text, and of a hash nothing but its scheme."""
    shown = {
        name: to_moment(value or 0) if name in section.times else value
        for name, value in row.items()
    }
    if section.name == "password":
        shown["scheme"] = _scheme(row["scheme"])
    for flag in ("active", "approved", "signed_up", "verified", "email_assigned", "exists"):
        if flag in shown:
            shown[flag] = bool(shown[flag])  # SQLite has no booleans
    return shown


def _scheme(encoded: str) -> str | None:
    """Return the short name of a hash's scheme; None without a password."""
    for flag in FLAGS:
        encoded = encoded.removeprefix(flag)
    if not encoded:
        return None
    schemes = (name for prefix, name in SCHEMES_BY_PREFIX.items() if encoded.startswith(prefix))
    return next(schemes, OTHER)
