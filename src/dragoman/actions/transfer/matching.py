"""What would become of each row of an import: whom it matches, and what it would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from dragoman.actions.transfer import runs
from dragoman.actions.transfer.changes import find_changes
from dragoman.actions.transfer.identity import (
    Identity,
    identify,
    may_be_public_id,
    repeated,
    row_digest,
)
from dragoman.actions.transfer.records import ImportedUser, Outcome, OutcomeKind, RowProblem
from dragoman.actions.transfer.runs import ImportRun
from dragoman.rules import policy
from dragoman.rules.fields import canonical
from dragoman.rules.model import Role
from dragoman.store import bulk_users, imports
from dragoman.store.bulk_users import ExistingUser
from dragoman.store.imports import ImportRow
from dragoman.store.transaction import Read, Tx

DEFAULT_MATCH = ("username", "email")
CREATED = Outcome(OutcomeKind.CREATED)


class Verdict(msgspec.Struct):
    """What is to be done with a row.

    Attributes:
        outcome: what would become of it.
        identity: what identifies its person.
        existing: the user that it matches, if any.
        changes: the new values of that user: of PLAIN_FIELDS, ``role``, ``tenant_id``,
            ``approved``, ``verified``, ``email_assigned`` and ``password_hash``.
        done: whether an earlier, killed run has written it already.
        former: the sealed values of that user before its update.
        claimed: whether somebody, who gives way, only claims one of its names.
    """

    outcome: Outcome
    identity: Identity
    existing: ExistingUser | None = None
    changes: dict[str, Any] = {}
    done: bool = False
    former: bytes | None = None
    claimed: bool = False


class _Judged(msgspec.Struct):
    """A row, and what identifies its person."""

    row: ImportedUser
    identity: Identity

    def refused(self, *problems: tuple[str, str, str]) -> Verdict:
        """Return the verdict on a row with problems: field, code and message of each."""
        found = tuple(RowProblem(self.row.line, *problem) for problem in problems)
        return Verdict(Outcome(OutcomeKind.REFUSED, problems=found), self.identity)


class Holders(msgspec.Struct):
    """Who has the names and ids of a chunk's rows, and what imports did with them."""

    by_name: dict[str, ExistingUser]
    by_id: dict[int, ExistingUser]
    by_public_id: dict[str, ExistingUser]
    import_rows: dict[int, list[ImportRow]]

    @property
    def is_empty(self) -> bool:
        """Whether nobody has any of them."""
        return not (self.by_name or self.by_id or self.by_public_id)


async def judge(reader: Read | Tx, run: ImportRun, rows: Sequence[ImportedUser]) -> list[Outcome]:
    """Return what would become of each row; nothing is changed.

    Args:
        reader: a reader or a transaction.
        run: the import, planned or begun.
        rows: rows without problems of their own, in the order of the file.
    """
    return [verdict.outcome for verdict in await find_verdicts(reader, run, rows)]


async def find_verdicts(
    reader: Read | Tx, run: ImportRun, rows: Sequence[ImportedUser]
) -> list[Verdict]:
    """Return what is to be done with each row; see ``judge``."""
    await runs.load_tenants(reader, run, rows)
    judged = [_Judged(row, identify(row)) for row in rows]
    holders = await _find_holders(reader, run, judged)
    verdicts: list[Verdict] = []
    earlier: dict[str, ImportedUser] = {}  # the rows of this chunk by what identifies them
    places: dict[Any, list[tuple[str, str, str]]] = {}  # problems by role and tenant
    for each in judged:
        keys = each.identity.keys
        if not earlier.keys().isdisjoint(keys):
            verdicts.append(_verdict_within_chunk(run, each, earlier))
            continue
        place = (each.row.role, each.row.tenant)
        if (problems := places.get(place)) is None:
            problems = places[place] = _role_and_tenant_problems(run, each.row)
        verdict = _verdict(run, each, holders, problems)
        if verdict.outcome.kind is not OutcomeKind.REFUSED:
            for key in keys:
                earlier[key] = each.row
        verdicts.append(verdict)
    return verdicts


async def _find_holders(reader: Read | Tx, run: ImportRun, judged: Sequence[_Judged]) -> Holders:
    keys: set[str] = set()
    public_ids: set[str] = set()
    ids: list[int] = []
    for each in judged:
        identity, row = each.identity, each.row
        keys.add(identity.username_key)
        keys.add(identity.email_key)
        if row.public_id:
            public_ids.add(row.public_id)
            keys.add(canonical(row.public_id))
        if row.id is not UNSET:
            ids.append(row.id)
        if may_be_public_id(identity.username):
            public_ids.add(identity.username)
    keys.discard("")
    by_name = await bulk_users.by_names(reader, list(keys))
    by_id = await bulk_users.by_ids(reader, ids)
    by_public_id = await bulk_users.by_public_ids(reader, list(public_ids))
    found = [*by_name.values(), *by_id.values(), *by_public_id.values()]
    import_rows = await imports.rows_of_users(reader, run.id, [each.user.id for each in found])
    return Holders(by_name, by_id, by_public_id, import_rows)


def _verdict_within_chunk(
    run: ImportRun, judged: _Judged, rows_by_key: dict[str, ImportedUser]
) -> Verdict:
    """Return the verdict on a row that names the person of an earlier row of its chunk."""
    row, identity = judged.row, judged.identity
    earlier = [rows_by_key[key] for key in identity.keys if key in rows_by_key]
    digest = row_digest(row, run.hash_key)
    equal = all(row_digest(each, run.hash_key) == digest for each in earlier)
    outcome = repeated(row.line, min(each.line for each in earlier), equal=equal)
    return Verdict(outcome, identity)


def _verdict(
    run: ImportRun, judged: _Judged, holders: Holders, problems: list[tuple[str, str, str]]
) -> Verdict:
    identity = judged.identity
    if not identity.username:
        message = "there is neither a username nor an e-mail address"
        return judged.refused(("username", "blank", message))
    if problems:
        return judged.refused(*problems)
    if holders.is_empty:
        return Verdict(CREATED, identity)
    if (verdict := _verdict_after_earlier_row(run, judged, holders)) is not None:
        return verdict
    matched = {each.user.id: each for each in _matches(run, judged, holders)}
    if len(matched) > 1:
        return judged.refused(("", "ambiguous", "the record matches two people of the directory"))
    existing = next(iter(matched.values()), None)
    if existing is None:
        taken = _taken_problems(judged, holders, None)
        if taken:
            return judged.refused(*taken)
        claimed = not holders.by_name.keys().isdisjoint((identity.username_key, identity.email_key))
        return Verdict(CREATED, identity, claimed=claimed)
    return _verdict_on_existing(run, judged, holders, existing)


def _verdict_on_existing(
    run: ImportRun, judged: _Judged, holders: Holders, existing: ExistingUser
) -> Verdict:
    user_id, identity = existing.user.id, judged.identity
    changes = find_changes(run, judged.row, existing, holders.import_rows.get(user_id, []))
    if not changes:
        return Verdict(Outcome(OutcomeKind.UNCHANGED, user_id), identity, existing)
    if run.options.on_conflict == "skip":
        return Verdict(Outcome(OutcomeKind.SKIPPED, user_id), identity, existing)
    if run.options.on_conflict == "fail":
        return judged.refused(("", "taken", "the directory has this person already"))
    if problems := _taken_problems(judged, holders, existing):
        return judged.refused(*problems)
    return Verdict(Outcome(OutcomeKind.UPDATED, user_id), identity, existing, changes)


def _role_and_tenant_problems(run: ImportRun, row: ImportedUser) -> list[tuple[str, str, str]]:
    problems: list[tuple[str, str, str]] = []
    role = Role.MEMBER if row.role is UNSET else row.role
    if role.is_platform_role and not run.options.allow_platform_roles:
        problems.append(("role", "forbidden_role", "platform roles need --allow-platform-roles"))
    elif role not in policy.assignable_roles(run.actor):
        problems.append(("role", "forbidden_role", "you may not assign this role"))
    if run.tenant_slug(row):
        tenant_id = run.tenant_id(row)
        if tenant_id is None or run.only_tenant_id not in {None, tenant_id}:
            message = f"there is no tenant {run.tenant_slug(row)[:60]!r} (--create-tenants)"
            problems.append(("tenant", "unknown_tenant", message))
    elif run.only_tenant_id is not None and not problems:
        problems.append(("tenant", "unknown_tenant", "there is no such tenant"))
    return problems


def _verdict_after_earlier_row(run: ImportRun, judged: _Judged, holders: Holders) -> Verdict | None:
    """Return the verdict on a row whose person an earlier row of this import has named."""
    row, identity = judged.row, judged.identity
    earlier: dict[int, ImportRow] = {}
    for existing in _sharing(judged, holders):
        for done in holders.import_rows.get(existing.user.id, []):
            if run.id and done.import_id == run.id:
                earlier[done.user_id] = done
    if not earlier:
        return None
    digest = row_digest(row, run.hash_key)
    for done in earlier.values():
        if done.line == row.line and done.digest == digest:
            return Verdict(Outcome(_kind_of(done), done.user_id), identity, done=True)
    first = min(earlier.values(), key=lambda done: done.line)
    equal = all(done.digest == digest for done in earlier.values())
    return Verdict(repeated(row.line, first.line, equal=equal), identity)


def _kind_of(done: ImportRow) -> OutcomeKind:
    if done.created:
        return OutcomeKind.CREATED
    return OutcomeKind.UPDATED if done.written_at else OutcomeKind.UNCHANGED


def _sharing(judged: _Judged, holders: Holders) -> list[ExistingUser]:
    """Return the users who have a name or an id of a row, but not addresses that they only claim."""
    row, identity = judged.row, judged.identity
    found = [_holder(holders, key) for key in (identity.username_key, identity.email_key)]
    if row.id is not UNSET:
        found.append(holders.by_id.get(row.id))
    if row.public_id:
        found.append(holders.by_public_id.get(row.public_id))
    return [each for each in found if each is not None]


def _holder(holders: Holders, key: str) -> ExistingUser | None:
    existing = holders.by_name.get(key)
    return None if existing is None or existing.only_claims(key) else existing


def _matches(run: ImportRun, judged: _Judged, holders: Holders) -> list[ExistingUser]:
    """Return the people whom a row matches by the fields of ``--match``."""
    row, identity = judged.row, judged.identity
    found: list[ExistingUser | None] = []
    for field in (run.options.match,) if run.options.match else DEFAULT_MATCH:
        if field == "username" and row.username:
            key = identity.username_key
            holder = _holder(holders, key)
            found.append(holder if holder and holder.username_key == key else None)
        elif field == "email" and row.email:
            key = identity.email_key
            holder = _holder(holders, key)
            found.append(holder if holder and holder.email_key == key else None)
        elif field == "id" and row.id is not UNSET:
            found.append(holders.by_id.get(row.id))
        elif field == "public_id" and row.public_id:
            found.append(holders.by_public_id.get(row.public_id))
    return [each for each in found if each and not each.deleted and _is_within_reach(run, each)]


def _is_within_reach(run: ImportRun, existing: ExistingUser) -> bool:
    return run.only_tenant_id in {None, existing.user.tenant_id}


def _taken_problems(
    judged: _Judged, holders: Holders, existing: ExistingUser | None
) -> list[tuple[str, str, str]]:
    """Return which names and ids of a row belong to others than ``existing``."""
    row, identity = judged.row, judged.identity
    own_id = existing.user.id if existing else 0
    problems: list[tuple[str, str, str]] = []

    def is_others(holder: ExistingUser | None) -> bool:
        return holder is not None and holder.user.id != own_id

    username = identity.username if existing is None else row.username or ""
    if username and is_others(_holder(holders, identity.username_key)):
        problems.append(("username", "taken", "the username belongs to somebody else"))
    elif may_be_public_id(username):
        holder = holders.by_public_id.get(username)
        if is_others(holder) and holder is not None and not holder.deleted:
            problems.append(("username", "taken", "the username is the public id of another user"))
    if identity.email and is_others(_holder(holders, identity.email_key)):
        problems.append(("email", "taken", "the e-mail address belongs to somebody else"))
    problems += _taken_id_problems(row, holders, existing)
    return problems


def _taken_id_problems(
    row: ImportedUser, holders: Holders, existing: ExistingUser | None
) -> list[tuple[str, str, str]]:
    problems: list[tuple[str, str, str]] = []
    own = existing.user if existing else None
    if row.id is not UNSET and (row.id != own.id if own else row.id in holders.by_id):
        problems.append(("id", "taken", "the id belongs to another user, or did once"))
    if row.public_id and row.public_id != (own.public_id if own else ""):
        namesake = holders.by_name.get(canonical(row.public_id))
        if (
            own is not None
            or row.public_id in holders.by_public_id
            or (namesake is not None and namesake.user.username == row.public_id)
        ):
            problems.append(("public_id", "taken", "the public id belongs to another user"))
    return problems
