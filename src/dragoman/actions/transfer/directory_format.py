"""The lines of an exported directory (docs/export.md): what each says, and in which order.

The first line says what the file is, the second how much is in it. Then come all tenants, all
groups and all users, each kind ordered by id. A line is a JSON object with a ``type``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from dragoman.store.highest_ids import HighestIds

FORMAT = 1
"""The number of this format; a program reads its own and smaller ones."""
HEADER = b'{"type": "dragoman", "format": %d}\n' % FORMAT
MAX_LINE = 16 << 20
"""Maximum length of a line in bytes: that of a user with access to a hundred thousand resources."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339, in UTC, with as many digits as the time has: a microsecond is the smallest unit."""


Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


def to_moment(microseconds: int) -> datetime | None:
    """Return a time of the store, in microseconds since 1970, as the format has it; 0 is null."""
    return EPOCH + timedelta(microseconds=microseconds) if microseconds else None


def from_moment(moment: datetime | None | UnsetType, default: int = 0) -> int:
    """Return a time of the format as the store has it."""
    if moment is UNSET:
        return default
    return 0 if moment is None else (moment - EPOCH) // _MICROSECOND


class _Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """A line; fields without a default are required, unknown ones are errors.

    An export has all of them. A file that somebody has written may leave out what has a default;
    ids that are not in it are given out anew.
    """


class HeaderLine(_Line, kw_only=True, tag="dragoman"):
    """The first line."""

    format: int


class DirectoryLine(_Line, kw_only=True, tag="directory"):
    """The second line: how many lines of each type follow.

    ``highest_ids`` is null in the export of one tenant.
    """

    tenants: int
    groups: int
    users: int
    highest_ids: HighestIds | None = None


class TenantLine(_Line, kw_only=True, tag="tenant"):
    """A tenant. Until it has had users, the first to sign up at some contracts becomes its owner.

    ``ever_owned`` is whether it has ever had an owner, ``had_users`` whether any user at all.
    """

    id: Id | UnsetType = UNSET
    public_id: str | UnsetType = UNSET
    slug: str
    name: str
    email: str = ""
    url: str = ""
    description: str = ""
    active: bool = True
    ever_owned: bool = False
    had_users: bool = False
    created_at: Moment | None | UnsetType = UNSET
    updated_at: Moment | None | UnsetType = UNSET


class GroupLine(_Line, kw_only=True, tag="group"):
    """A group of a tenant; its members have its permissions (codenames)."""

    id: Id | UnsetType = UNSET
    tenant: str
    name: str
    permissions: list[str] = []
    created_at: Moment | None | UnsetType = UNSET


class Granted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """By whom (the id of a user; 0: the command line) and when something was granted."""

    granted_by: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    granted_at: Moment | None = None


class AccessEntry(Granted, kw_only=True):
    """The level of access to a resource of another application."""

    resource: str
    level: str


class UserLine(_Line, kw_only=True, tag="user"):
    """A user.

    Attributes:
        tenant: the slug of its tenant; null for platform administrators without one.
        verified: whether the e-mail address is proven to be the user's; ``email_verified`` is the
            same under the name that most products use.
        email_key: present only if the address does not sign in under its own key, because
            another user has it (``store/key_rewrite.py``).
        groups: names of groups of its tenant.
        permissions: codenames that were granted directly; ``grants`` says when and by whom.
        password_hash: the encoded hash, empty without a password; absent without
            ``--with-hashes``, as is ``hash_imported_at``.
    """

    id: Id | UnsetType = UNSET
    public_id: str | UnsetType = UNSET
    tenant: str | None = None
    role: str = "member"
    username: str
    email: str = ""
    email_key: str | UnsetType = UNSET
    email_verified: bool | UnsetType = UNSET
    email_assigned: bool = False
    first_name: str = ""
    last_name: str = ""
    display_name: str | UnsetType = UNSET
    phone: str = ""
    bio: str = ""
    url: str = ""
    company: str = ""
    location: str = ""
    active: bool = True
    approved: bool = True
    verified: bool | UnsetType = UNSET
    signed_up: bool = False
    strong_password: bool | None = None
    password_reaches: Annotated[int, msgspec.Meta(ge=0, le=32767)] | None = None
    created_at: Moment | None | UnsetType = UNSET
    updated_at: Moment | None | UnsetType = UNSET
    last_login_at: Moment | None = None
    groups: list[str] = []
    permissions: list[str] = []
    grants: dict[str, Granted] | UnsetType = UNSET
    access: list[AccessEntry] = []
    password_hash: str | UnsetType = UNSET
    hash_imported_at: Moment | None | UnsetType = UNSET


Line = HeaderLine | DirectoryLine | TenantLine | GroupLine | UserLine

encode = msgspec.json.Encoder().encode_lines
"""Return lines as bytes, one each; the same values make the same bytes."""
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def decode(line: bytes) -> Line:
    """Return what a line says; raises msgspec.DecodeError (see ``explain``)."""
    return _DECODER.decode(line)


def is_ours(first_line: bytes) -> bool:
    """Return whether a file that begins with this line is an exported directory."""
    try:
        value: Any = msgspec.json.decode(first_line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(value, dict) and value.get("type") == "dragoman"
