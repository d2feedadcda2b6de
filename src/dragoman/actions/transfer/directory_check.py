"""Checks an exported directory before it is loaded: every line for itself, and what it refers to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from dragoman.actions.transfer import check
from dragoman.actions.transfer.directory_format import (
    AccessEntry,
    DirectoryLine,
    GroupLine,
    TenantLine,
    UserLine,
)
from dragoman.actions.transfer.directory_lines import NumberedLine, read_lines
from dragoman.actions.transfer.records import (
    ImportedUser,
    ImportOptions,
    Record,
    RowProblem,
    Tally,
)
from dragoman.actions.transfer.run import Reporter
from dragoman.actions.transfer.seen import SeenRows
from dragoman.actions.transfer.values import ROLES
from dragoman.rules import fields, passwords
from dragoman.rules.errors import Problem
from dragoman.rules.fields import USER_MAX_LENGTHS, canonical
from dragoman.rules.model import TenantChanges
from dragoman.rules.policy import ACTIONS_BY_PERMISSION
from dragoman.store.highest_ids import HighestIds

STEP = 1000
"""Number of users that are compared with earlier ones at a time."""
MAX_RESOURCE_LENGTH = 1000
"""Maximum length of the name of a resource, and of a level, in characters."""
MAX_GROUP_NAME_LENGTH = 150
_OPTIONS = ImportOptions(allow_platform_roles=True)
_PUBLIC_ID = re.compile("[A-Za-z0-9-]{1,64}")
_TEXTS = tuple(USER_MAX_LENGTHS)


class CheckedDirectory(msgspec.Struct):
    """What a file has in it, and what is wrong with it.

    Attributes:
        tally: counts users by what becomes of them, and as refused all lines with problems.
        size: the bytes of the file.
        tenants: the number of tenants.
        groups: the number of groups.
        highest: the highest ids ever given out, and those in the file.
    """

    tally: Tally
    size: int
    tenants: int = 0
    groups: int = 0
    highest: HighestIds = HighestIds()

    @property
    def is_good(self) -> bool:
        """Whether there are no problems at all."""
        return not self.tally.refused


def check_directory(path: Path, reporter: Reporter) -> CheckedDirectory:
    """Check a whole file; the memory does not grow with the number of its users.

    Args:
        path: the file.
        reporter: is told about the progress and the refused lines.

    Raises:
        FileProblem: the file is no export, of a later format, or has a line without an end.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    reporter.begin("check", size)
    with SeenRows() as seen:
        checker = _Checker(seen, reporter, size)
        for line in read_lines(path):
            checker.add(line)
            if line.number % STEP == 0:
                reporter.advance(line.position, checker.tally)
        return checker.finish()


class _Checker:
    """Takes the lines in the order of the file."""

    def __init__(self, seen: SeenRows, reporter: Reporter, size: int) -> None:
        self.tally = Tally()
        self._seen = seen
        self._reporter = reporter
        self._found = CheckedDirectory(self.tally, size)
        self._declared: DirectoryLine | None = None
        self._claimed: dict[str, int] = {}  # what only one tenant or group has → its line
        self._users: list[tuple[int, UserLine]] = []
        self._next_ids = {"tenants": 1, "groups": 1, "users": 1}

    def add(self, line: NumberedLine) -> None:
        if len(self._users) >= STEP or not isinstance(line.value, UserLine):
            self._check_users()  # so that problems are reported in the order of the file
        match line.value:
            case None:
                self._refuse(line.number, [line.problem] if line.problem else [])
            case UserLine() as user:
                self._see_id("users", user.id)
                self._users.append((line.number, user))
            case TenantLine() as tenant:
                self._found.tenants += 1
                self._see_id("tenants", tenant.id)
                self._refuse(line.number, self._tenant_problems(line.number, tenant))
            case GroupLine() as group:
                self._found.groups += 1
                self._see_id("groups", group.id)
                self._refuse(line.number, self._group_problems(line.number, group))
            case DirectoryLine() as declared:
                self._declared = declared
            case _:
                pass

    def finish(self) -> CheckedDirectory:
        self._check_users()
        found, declared = self._found, self._declared
        if declared is not None:
            numbers = {
                "tenants": (declared.tenants, found.tenants),
                "groups": (declared.groups, found.groups),
                "users": (declared.users, self.tally.read),
            }
            for name, (expected, actual) in numbers.items():
                if expected != actual:
                    message = f"{name}: {expected:,} according to line 2, but there are {actual:,}"
                    self._refuse(2, [RowProblem(2, name, "invalid", message)])
        given_out = (declared and declared.highest_ids) or HighestIds()
        found.highest = HighestIds(
            **{
                name: max(next_id - 1, getattr(given_out, name))
                for name, next_id in self._next_ids.items()
            }
        )
        return found

    def _see_id(self, name: str, given: int | UnsetType) -> None:
        if given is not UNSET:
            self._next_ids[name] = max(self._next_ids[name], given + 1)

    def _refuse(self, line: int, problems: Sequence[RowProblem]) -> None:
        """Report and count a line, if there are problems."""
        if not problems:
            return
        self.tally.refused += 1
        for code in {problem.code for problem in problems}:
            self.tally.refused_by[code] = self.tally.refused_by.get(code, 0) + 1
        self._reporter.refuse(Record(line, line, {}, b"", 0), problems)

    def _claim(self, line: int, keys: Mapping[str, str]) -> list[RowProblem]:
        """Return the fields whose key another line has already."""
        found: list[RowProblem] = []
        for field, key in keys.items():
            earlier = self._claimed.setdefault(key, line)
            if earlier != line:
                message = f"{field}: line {earlier} has the same"
                found.append(RowProblem(line, field, "duplicate", message))
        return found

    def _tenant_problems(self, line: int, tenant: TenantLine) -> list[RowProblem]:
        texts = {name: getattr(tenant, name) for name in fields.TENANT_MAX_LENGTHS}
        found = _row_problems(line, texts, fields.tenant_problems(TenantChanges(**texts)))
        found += _id_problems(line, tenant.public_id)
        keys = {"slug": f"s{canonical(tenant.slug)}", "name": f"n{canonical(tenant.name.strip())}"}
        if tenant.id is not UNSET:
            keys["id"] = f"t{tenant.id}"
        if tenant.public_id is not UNSET:
            keys["public_id"] = f"p{tenant.public_id}"
        return found + self._claim(line, keys)

    def _group_problems(self, line: int, group: GroupLine) -> list[RowProblem]:
        name = group.name.strip()
        problems = fields.text_problems(name, "name", max_length=MAX_GROUP_NAME_LENGTH)
        found = _row_problems(line, {"name": name}, problems)
        if not name:
            found.append(RowProblem(line, "name", "blank", "name: empty"))
        found += self._unknown_tenant(line, group.tenant)
        found += _permission_problems(line, group.permissions)
        keys = {"name": _group_key(group.tenant, name)}
        if group.id is not UNSET:
            keys["id"] = f"g{group.id}"
        return found + self._claim(line, keys)

    def _unknown_tenant(self, line: int, slug: str | None) -> list[RowProblem]:
        if slug is None or f"s{canonical(slug)}" in self._claimed:
            return []
        message = f"tenant: no tenant before this line has the slug {slug[:60]!r}"
        return [RowProblem(line, "tenant", "unknown_tenant", message)]

    def _check_users(self) -> None:
        """Check the users that are waiting, and compare them with all earlier ones."""
        rows = [_imported(line, user) for line, user in self._users]
        outcomes = self._seen.add(rows)
        for (line, user), row, outcome in zip(self._users, rows, outcomes, strict=True):
            problems = check.problems(row, _OPTIONS)
            problems += self._reference_problems(line, user)
            scheme = self._judge(line, user, problems)
            if outcome is not None:
                message = "the record is there twice"
                repeated = RowProblem(line, "", "duplicate", message)
                problems += outcome.problems or (repeated,)
            self._refuse(line, problems)
            tally = self.tally
            tally.read += 1
            if problems:
                continue
            tally.created += 1
            if scheme:
                tally.hashes[scheme] = tally.hashes.get(scheme, 0) + 1
            else:
                tally.without_password += 1
        self._users.clear()

    def _reference_problems(self, line: int, user: UserLine) -> list[RowProblem]:
        found = self._unknown_tenant(line, user.tenant)
        if user.role not in ROLES:
            message = f"role: {user.role[:40]!r} is none of {', '.join(ROLES)}"
            found.append(RowProblem(line, "role", "unknown_role", message))
        if UNSET not in {user.verified, user.email_verified} and (
            user.verified is not user.email_verified
        ):
            message = "verified: differs from email_verified"
            found.append(RowProblem(line, "verified", "invalid", message))
        for name in user.groups:
            if user.tenant is None or _group_key(user.tenant, name) not in self._claimed:
                message = f"groups: the tenant has no group {name[:60]!r} before this line"
                found.append(RowProblem(line, "groups", "invalid", message))
        found += _repeated(line, "groups", map(canonical, user.groups))
        found += _permission_problems(line, user.permissions)
        if user.grants is not UNSET and not user.grants.keys() <= set(user.permissions):
            message = "grants: only those of permissions"
            found.append(RowProblem(line, "grants", "invalid", message))
        return found + _access_problems(line, user.access)

    def _judge(self, line: int, user: UserLine, problems: list[RowProblem]) -> str:
        """Return the scheme of a user's hash; add to the problems why it is not taken."""
        if not user.password_hash:
            return ""
        verdict = passwords.judge(user.password_hash)
        if verdict.code:
            message = f"password_hash: {verdict.detail}"
            problems.append(RowProblem(line, "password_hash", verdict.code, message))
        return verdict.scheme if verdict.stored else ""


def _imported(line: int, user: UserLine) -> ImportedUser:
    """Return what the check of an import and the search for duplicates have to know of a user."""
    address_key = user.email if user.email_key is UNSET else user.email_key
    return ImportedUser(
        line=line,
        id=user.id,
        public_id=user.public_id,
        tenant=user.tenant or UNSET,
        username=user.username.strip() or UNSET,
        email=address_key.strip() or UNSET,
        **{name: getattr(user, name) or UNSET for name in _TEXTS if name not in _NAMES},
    )


_NAMES = frozenset({"username", "email"})


def _row_problems(
    line: int, texts: Mapping[str, str], problems: Iterable[Problem]
) -> list[RowProblem]:
    return [check.row_problem(line, texts[problem.field], problem) for problem in problems]


def _id_problems(line: int, public_id: str | UnsetType) -> list[RowProblem]:
    if public_id is UNSET or _PUBLIC_ID.fullmatch(public_id):
        return []
    message = "public_id: not 1 to 64 letters, digits and -"
    return [RowProblem(line, "public_id", "invalid", message)]


def _group_key(tenant: str, name: str) -> str:
    return f"m{canonical(tenant)}/{canonical(name.strip())}"


def _repeated(line: int, field: str, values: Iterable[str]) -> list[RowProblem]:
    listed = list(values)
    if len(set(listed)) == len(listed):
        return []
    return [RowProblem(line, field, "duplicate", f"{field}: an entry is there twice")]


def _permission_problems(line: int, codenames: Sequence[str]) -> list[RowProblem]:
    found = [
        RowProblem(line, "permissions", "invalid", f"permissions: no permission {name[:60]!r}")
        for name in codenames
        if name not in ACTIONS_BY_PERMISSION
    ]
    return found + _repeated(line, "permissions", codenames)


def _access_problems(line: int, entries: Sequence[AccessEntry]) -> list[RowProblem]:
    found: list[RowProblem] = []
    for entry in entries:
        for name, value in (("resource", entry.resource), ("level", entry.level)):
            problems = fields.text_problems(value, name, max_length=MAX_RESOURCE_LENGTH)
            found += _row_problems(line, {name: value}, problems)
        if not entry.resource:
            found.append(RowProblem(line, "access", "blank", "access: a resource is empty"))
    return found + _repeated(line, "access", (entry.resource for entry in entries))
