"""Our own columns: which column of a table, or field of a record, is which field of ours.

A name is ours as it is, or by an alias: the generic ones here, and those of the contracts, which
the caller hands in. Names are compared without case, blanks and punctuation, so that ``E-Mail`` and
``first name`` are known.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dragoman.actions.transfer.formula_cells import MARK_COLUMN
from dragoman.actions.transfer.records import FileProblem, RowProblem
from dragoman.actions.transfer.values import CONVERTERS

PASSWORD = "password"
"""The column of passwords in clear, which only ``--hash-plain`` reads."""
NOT_TAKEN = frozenset({"groups", "permissions", "access"})
"""Fields of our own export that an import among other people does not take over."""
PASSED_OVER = frozenset(
    {
        *("grants", "email_key", "email_assigned", "signed_up", "updated_at"),
        *("hash_imported_at", "password_reaches", "type", "format", MARK_COLUMN),
    }
)
"""Fields of our own export that mean nothing among other people, or are said by other fields."""
RECORD_TYPE = "type"
"""The field of our own export that says what a record is; what is no user is skipped."""
NOT = "!"
"""Before a boolean field of ours in an alias: theirs says the opposite."""

_ALIASES = {
    **dict.fromkeys(("mail", "emailaddress", "mailaddress"), "email"),
    **dict.fromkeys(("user", "login", "loginname"), "username"),
    **dict.fromkeys(("givenname", "forename"), "first_name"),
    **dict.fromkeys(("surname", "familyname", "sn"), "last_name"),
    **dict.fromkeys(("name", "fullname"), "display_name"),
    **dict.fromkeys(("telephone", "mobile", "telephonenumber"), "phone"),
    **dict.fromkeys(("website", "homepage"), "url"),
    **dict.fromkeys(("organisation", "organization"), "company"),
    **dict.fromkeys(("about", "biography"), "bio"),
    "enabled": "active",
    **dict.fromkeys(("disabled", "blocked"), NOT + "active"),
    **dict.fromkeys(("emailverified", "emailconfirmed", "isverified"), "verified"),
    **dict.fromkeys(("created", "registered"), "created_at"),
    **dict.fromkeys(("lastlogin", "lastsignin", "lastsigninat"), "last_login_at"),
    **dict.fromkeys(("hash", "hashedpassword", "encryptedpassword"), "password_hash"),
    "tenantslug": "tenant",
}
"""Names of other people's tables, squeezed, and our fields."""


class Columns(msgspec.Struct, frozen=True):
    """The columns of a file that are known.

    Attributes:
        fields: their name → our field, or ``!`` and a boolean field of ours for its opposite.
        unknown: their names that are not known.
        warnings: what a person should read before the import begins.
    """

    fields: Mapping[str, str]
    unknown: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def squeeze(name: str) -> str:
    """Return a name by which columns are compared: ``E-Mail`` and ``e_mail`` are ``email``."""
    return re.sub(r"[\W_]+", "", name).casefold()


_READ = frozenset({*CONVERTERS, PASSWORD})
_OURS = {squeeze(field): field for field in (*sorted(_READ), *NOT_TAKEN)}


class ColumnNames:
    """All names that columns may have.

    Args:
        aliases: names of the contracts → our fields.
        chosen: names of ``--map`` → our fields; an empty one passes the column over.

    Raises FileProblem if ``--map`` names no field of ours.
    """

    def __init__(self, aliases: Mapping[str, str], chosen: Mapping[str, str]) -> None:
        self._chosen = {theirs.strip(): _chosen_field(ours) for theirs, ours in chosen.items()}
        self._exact = {name: field for name, field in aliases.items() if name not in _OURS}
        squeezed = {squeeze(name): field for name, field in self._exact.items()}
        self._squeezed = {**squeezed, **_ALIASES, **_OURS}

    def find(self, name: str) -> str | None:
        """Return our field for a name; empty if it is passed over, None if it is not known."""
        name = name.strip()
        if name in self._chosen:
            return self._chosen[name]
        if name in PASSED_OVER:
            return ""
        if (field := self._exact.get(name)) is not None:
            return field
        return self._squeezed.get(squeeze(name))

    def find_all(self, names: Iterable[str]) -> dict[str, str | None]:
        """Return our fields for the names of a record, as ``find`` does.

        Our own export says under two names whether an address is proven; the second is passed over.
        """
        found = {name: self.find(name) for name in names}
        if found.get("verified") == found.get("email_verified") == "verified":
            found["email_verified"] = ""
        return found

    def resolve(self, header: Sequence[str], line: int = 1) -> Columns:
        """Return what the columns of a table are.

        Raises FileProblem if none is known, if two are the same field, or if ``--map`` names one
        that is not there.
        """
        found = self.find_all(header)
        fields = {name: field for name, field in found.items() if field}
        unknown = tuple(name for name, field in found.items() if field is None)
        self._check_chosen(header, line)
        for field, message in duplicates((name, fields[name]) for name in header if name in fields):
            raise FileProblem(RowProblem(line, field, "columns", message))
        if not any(field.removeprefix(NOT) in _READ for field in fields.values()):
            raise FileProblem(RowProblem(line, "", "columns", self._none_known(header, line)))
        return Columns(fields, unknown, tuple(self._warnings(fields, unknown)))

    def unknown_field(self, name: str) -> str:
        """Return the message for a field that is not known, with the one that may be meant."""
        quoted = repr(name[:60])
        meant = self._suggestion(name)
        hint = f"; did you mean {meant}?" if meant else ""
        return f"no such field: {quoted}{hint} (--ignore-unknown passes it over)"

    def _check_chosen(self, header: Sequence[str], line: int) -> None:
        there = {name.strip() for name in header}
        for theirs in self._chosen:
            if theirs not in there:
                near = difflib.get_close_matches(theirs, there, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                message = f"--map: the file has no column {theirs!r}{hint}"
                raise FileProblem(RowProblem(line, "", "columns", message))

    def _warnings(self, fields: Mapping[str, str], unknown: Iterable[str]) -> Iterable[str]:
        for name in unknown:
            meant = self._suggestion(name)
            hint = f"; did you mean {meant}? --map {name}={meant}" if meant else ""
            yield f"column {name[:60]!r} is not known and is passed over{hint}"
        for name, field in fields.items():
            if field in NOT_TAKEN:
                yield f"column {name!r} is not taken over by an import among other people"

    def _none_known(self, header: Sequence[str], line: int) -> str:
        # A file without a header shows somebody's data here: only near misses are quoted.
        near = [f"{name!r} ({meant}?)" for name in header if (meant := self._suggestion(name))]
        hint = f": did you mean {', '.join(near[:5])}" if near else ""
        return (
            f"line {line}: no column is known{hint}. Is it a header? --columns a,b,c names the "
            "columns of a file without one, --map THEIRS=OURS those with other names"
        )

    def _suggestion(self, name: str) -> str:
        near = difflib.get_close_matches(squeeze(name), self._squeezed, n=1, cutoff=0.8)
        return self._squeezed[near[0]].removeprefix(NOT) if near else ""


def _chosen_field(ours: str) -> str:
    field = _OURS.get(squeeze(ours), "") if ours.strip() else ""
    if ours.strip() and not field:
        near = difflib.get_close_matches(squeeze(ours), _OURS, n=1)
        hint = f"; did you mean {_OURS[near[0]]}?" if near else ""
        raise FileProblem(RowProblem(0, "", "columns", f"--map: no field {ours!r} of ours{hint}"))
    return f"{NOT}{field}" if ours.strip().startswith(NOT) else field


def duplicates(fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the fields of ours that are there twice, with a message for each.

    Args:
        fields: names of columns, and our fields.
    """
    seen: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for name, field in fields:
        ours = field.removeprefix(NOT)
        if ours in seen:
            pair = repr(name) if seen[ours] == name else f"{seen[ours]!r} and {name!r}"
            found.append((ours, f"{ours} is there twice: {pair}; --map {name}= passes one over"))
        seen.setdefault(ours, name)
    return found
