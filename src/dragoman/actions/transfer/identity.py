"""What identifies a person in a row of an import, and digests of whole rows."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import UNSET

from dragoman.actions.transfer.records import ImportedUser, Outcome, OutcomeKind, RowProblem
from dragoman.rules.crypto import PUBLIC_ID_LENGTH
from dragoman.rules.fields import canonical

DIGEST_BYTES = 16
_ENCODER = msgspec.json.Encoder()


def may_be_public_id(username: str) -> bool:
    """Return whether a username has the form of a public id, so that it may be somebody's."""
    return len(username) == PUBLIC_ID_LENGTH and username.isascii() and username.isalnum()


class Identity(msgspec.Struct, frozen=True):
    """What identifies the person of a row.

    Attributes:
        username: the username of a new user: without one, it is the e-mail address.
        email: the e-mail address; empty if there is none.
        username_key: the canonical username.
        email_key: the canonical e-mail address.
        keys: what no other person may have, each with a prefix for its kind. Usernames and e-mail
            addresses share one name space; so do public ids and usernames that look like one.
    """

    username: str
    email: str
    username_key: str
    email_key: str
    keys: tuple[str, ...]


def identify(row: ImportedUser) -> Identity:
    """Return what identifies the person of a row; it is kept with the row."""
    identity: Identity | None = vars(row).get("identity")
    if identity is None:
        identity = vars(row)["identity"] = _identify(row)
    return identity


def _identify(row: ImportedUser) -> Identity:
    email = row.email or ""
    username = row.username or email
    username_key = canonical(username)
    email_key = username_key if email == username else canonical(email)
    keys = ["n" + username_key] if username else []
    if email_key and email_key != username_key:
        keys.append("n" + email_key)
    if row.id is not UNSET:
        keys.append(f"i{row.id}")
    if row.public_id:
        keys.append(f"p{row.public_id}")
    if may_be_public_id(username) and username != row.public_id:
        keys.append(f"p{username}")
    return Identity(username, email, username_key, email_key, tuple(keys))


def row_digest(row: ImportedUser, key: bytes) -> bytes:
    """Return a keyed digest of all values of a row, apart from its line and its random salts.

    It is kept with the row.
    """
    digests: dict[bytes, bytes] = vars(row).setdefault("digests", {})
    digest = digests.get(key)
    if digest is None:
        digest = digests[key] = _row_digest(row, key)
    return digest


def _row_digest(row: ImportedUser, key: bytes) -> bytes:
    return hashlib.blake2b(encoded_values(row), key=key, digest_size=DIGEST_BYTES).digest()


def encoded_values(row: ImportedUser) -> bytes:
    """Return all values of a row, apart from its line and its random salts, as bytes."""
    if row.plain_password is not UNSET:
        row = msgspec.structs.replace(row, password_hash=UNSET)
    elif row.weak_hash is not UNSET:
        row = msgspec.structs.replace(row, password_hash=row.weak_hash, weak_hash=UNSET)
    encoded = _ENCODER.encode(row)  # begins with the line
    return encoded[encoded.index(b",") :]


def repeated(line: int, earlier_line: int, *, equal: bool) -> Outcome:
    """Return what becomes of a row that names the person of an earlier row of the same file.

    Args:
        line: the line of the row.
        earlier_line: the line of the earlier row.
        equal: whether all fields of both rows are equal.
    """
    if equal:
        return Outcome(OutcomeKind.SKIPPED)
    message = f"the record of line {earlier_line} names the same person with other values"
    return Outcome(OutcomeKind.REFUSED, problems=(RowProblem(line, "", "duplicate", message),))
