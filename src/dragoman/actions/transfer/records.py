"""What passes between the steps of an import: records, rows, problems and outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from dragoman.rules.model import Role

ROW_CODES = frozenset(
    {
        "blank", "too_long", "unsafe", "invalid", "taken", "duplicate", "ambiguous",
        "unknown_role", "forbidden_role", "unknown_tenant", "unreadable_hash", "refused_hash",
        "clear_password", "columns", "encoding", "syntax",
    }
)  # fmt: skip
"""The codes of refused rows (interface.md, ``dragoman import``)."""


class RowProblem(msgspec.Struct, frozen=True):
    """Why a record is refused; the message never quotes a password or a hash.

    Attributes:
        line: the physical line in the file, from 1, on which the record begins.
        field: our name of the field, or an empty string.
        code: one of ``ROW_CODES``.
        message: one sentence for a person.
    """

    line: int
    field: str
    code: str
    message: str


class Record(msgspec.Struct):
    """A record of a file, cut out and parsed, but not understood yet.

    Attributes:
        number: counts records from 1, without headers, comments and empty lines.
        line: the physical line, from 1, on which the record begins.
        values: the fields as the file names them; nested for JSON; lists of texts for LDIF.
        raw: the record as it is in the file, without its line break; for the rejects file.
        position: the bytes of the file that are read, this record included.
        problem: why the record cannot be read; ``values`` is empty then.
    """

    number: int
    line: int
    values: dict[str, Any]
    raw: bytes
    position: int
    problem: RowProblem | None = None


class ImportedUser(msgspec.Struct, kw_only=True, dict=True):
    """What a record says about a person; UNSET where it says nothing.

    Times are microseconds since 1970 UTC. ``password_hash`` is a form that
    ``rules.passwords.verify_password`` reads; an empty one means "no password".
    ``plain_password`` occurs only with ``ImportOptions.hash_plain``: it is hashed before the row
    is written, as weak hashes are wrapped with ``ImportOptions.wrap_weak`` (``weak_hash`` keeps
    what was wrapped, by which rows are compared: hashes have random salts). Its ``__dict__`` keeps
    what was derived from it (``identity.identify``).
    """

    line: int
    id: int | UnsetType = UNSET
    public_id: str | UnsetType = UNSET
    tenant: str | UnsetType = UNSET  # a slug
    role: Role | UnsetType = UNSET
    username: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    verified: bool | UnsetType = UNSET
    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    bio: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    company: str | UnsetType = UNSET
    location: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    approved: bool | UnsetType = UNSET
    created_at: int | UnsetType = UNSET
    last_login_at: int | UnsetType = UNSET
    password_hash: str | UnsetType = UNSET
    plain_password: str | UnsetType = UNSET
    weak_hash: str | UnsetType = UNSET
    strong_password: bool | None | UnsetType = UNSET


class Translation(msgspec.Struct):
    """What a record means: a user, or a reason to skip it, or problems; and warnings.

    One without any of them is no record of a person at all, such as an organisational unit or
    an object of another table in the same list: it is passed over and not counted.

    Attributes:
        user: the person, if there are no problems and nothing is skipped.
        skipped: why the record is no person to be imported, such as a service account.
        problems: why the record is refused: all of its problems at once.
        warnings: what is not taken over, such as a second e-mail address.
        hash_scheme: the short name of the password hash's scheme; empty without a password.
    """

    user: ImportedUser | None = None
    skipped: str = ""
    problems: list[RowProblem] = []
    warnings: list[str] = []
    hash_scheme: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the record is about no person."""
        return self.user is None and not self.skipped and not self.problems


class Translator(Protocol):
    """Turns a record of one product into a person."""

    def __call__(self, record: Record) -> Translation:
        """Return what the record means; never raises for bad data."""
        ...


class RecordForm(msgspec.Struct, frozen=True):
    """What is around the records in a file of one form: before the first, between, after the last.

    ``begin`` has the byte order mark and the header of a table.
    """

    begin: bytes = b""
    separator: bytes = b"\n"
    end: bytes = b"\n"


class RecordSource(Protocol):
    """An open file of records; a regular file can be read several times, a pipe once."""

    format: str
    """csv, tsv, ndjson, json or ldif."""
    encoding: str
    delimiter: str
    """What separates the columns of a table; empty for other formats."""
    list_path: str
    """Where the list of records is in a JSON document; empty: the document itself."""
    header: tuple[str, ...]
    """The names of the columns of a table; empty for other formats."""
    size: int
    """Bytes of the file, for the progress; 0 if unknown."""
    form: RecordForm
    """How refused records are written, so that they can be corrected and read again."""

    def __iter__(self) -> Iterator[Record]:
        """Yield the records in the order of the file; raises ``FileProblem``."""
        ...


class FileProblem(Exception):
    """The file as a whole cannot be imported: empty, no known column, of an unknown format.

    Args:
        problem: what is wrong, with line and column where they are known.
    """

    def __init__(self, problem: RowProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class OutcomeKind(StrEnum):
    """What became, or would become, of a row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    REFUSED = "refused"


class Outcome(msgspec.Struct, frozen=True):
    """What became of one row, and why it was refused."""

    kind: OutcomeKind
    user_id: int = 0
    problems: tuple[RowProblem, ...] = ()


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``dragoman import`` that decide what becomes of a row (interface.md).

    Attributes:
        tenant: the slug of the tenant of rows that name none.
        create_tenants: create tenants that do not exist.
        match: the one field by which rows match people who were there before; empty: by
            username, then by e-mail address.
        on_conflict: what becomes of such a row: skip, update or fail.
        map: names of fields: theirs → ours.
        map_role: words for roles: theirs → ours.
        allow_platform_roles: take the roles superadmin and admin.
        verified: whether addresses are proven: from-file, never or always.
        bad_hashes: what becomes of a hash that is not taken: error or drop.
        replace_passwords: an update replaces the password also of people who have signed in.
        hash_plain: hash passwords in clear.
        wrap_weak: wrap weak hashes in argon2id.
        invite: mail people without a password a link to set one.
        ignore_unknown: pass over unknown fields.
    """

    tenant: str = ""
    create_tenants: bool = False
    match: str = ""
    on_conflict: str = "skip"
    map: dict[str, str] = {}
    map_role: dict[str, str] = {}
    allow_platform_roles: bool = False
    verified: str = "from-file"
    bad_hashes: str = "error"
    replace_passwords: bool = False
    hash_plain: bool = False
    wrap_weak: bool = False
    invite: bool = False
    ignore_unknown: bool = False


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``dragoman import`` that say how the file is read; empty: found out.

    Attributes:
        format: csv, tsv, ndjson, json or ldif.
        recipe: the product that wrote the file; empty: our own columns and fields.
        encoding: the encoding; empty: UTF-8, or UTF-16 by its byte order mark.
        delimiter: the character between the columns of a table.
        columns: the names of the columns of a table without a header.
        passwords: the path of a second file, with the hashes.
        hash_config: the path of a file with parameters of the hashes.
    """

    format: str = ""
    recipe: str = ""
    encoding: str = ""
    delimiter: str = ""
    columns: tuple[str, ...] = ()
    passwords: str = ""
    hash_config: str = ""


class Tally(msgspec.Struct):
    """What became of the records so far; stored with the import, so that it survives a restart."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    refused: int = 0
    refused_by: dict[str, int] = {}
    without_password: int = 0
    hashes: dict[str, int] = {}
    warnings: dict[str, int] = {}

    def count(self, row: Row, outcome: Outcome) -> None:
        """Count what became of a record."""
        self.read += 1
        kind = outcome.kind
        if kind is OutcomeKind.CREATED:  # nearly always
            self.created += 1
        else:
            setattr(self, kind.value, getattr(self, kind.value) + 1)
            for code in {problem.code for problem in outcome.problems}:
                self.refused_by[code] = self.refused_by.get(code, 0) + 1
        for warning in row.translation.warnings:
            self.warnings[warning] = self.warnings.get(warning, 0) + 1
        if kind is OutcomeKind.REFUSED or kind is OutcomeKind.SKIPPED:
            return
        if scheme := row.translation.hash_scheme:
            self.hashes[scheme] = self.hashes.get(scheme, 0) + 1
        else:
            self.without_password += 1

    def copy(self) -> Tally:
        """Return an independent copy."""
        return msgspec.structs.replace(
            self,
            refused_by=dict(self.refused_by),
            hashes=dict(self.hashes),
            warnings=dict(self.warnings),
        )


class Row(msgspec.Struct):
    """A record together with what it means."""

    record: Record
    translation: Translation
