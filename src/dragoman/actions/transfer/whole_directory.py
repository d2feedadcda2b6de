"""Loads an exported directory into an empty one, as a whole or not at all."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from dragoman.actions.directory import Directory
from dragoman.actions.steps.create_user import full_name
from dragoman.actions.transfer.directory_check import STEP, CheckedDirectory, check_directory
from dragoman.actions.transfer.directory_format import (
    Granted,
    GroupLine,
    Line,
    TenantLine,
    UserLine,
    from_moment,
)
from dragoman.actions.transfer.directory_lines import begins_as_ours, read_lines
from dragoman.actions.transfer.records import FileProblem, RowProblem, Tally
from dragoman.actions.transfer.run import Reporter, RunOptions, Summary, WholeDirectory
from dragoman.actions.transfer.values import ROLES
from dragoman.rules import crypto, passwords, policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Reason
from dragoman.rules.fields import USER_MAX_LENGTHS, canonical
from dragoman.rules.policy import PERMISSION_CATALOGUE
from dragoman.rules.vocabulary import Action, AuditAction, Reach
from dragoman.store import audit, directory_load, highest_ids, permissions, users
from dragoman.store.highest_ids import HighestIds
from dragoman.store.transaction import LOCK_TENANT_NAMES, Read, Tx

_PERMISSION_IDS = {codename: number for number, codename, _, _ in PERMISSION_CATALOGUE}
_TENANT_TEXTS = ("slug", "name", "email", "url", "description")
_USER_TEXTS = tuple(USER_MAX_LENGTHS)
_USER_FLAGS = (
    "active", "approved", "signed_up", "email_assigned", "strong_password", "password_reaches",
)  # fmt: skip


async def applies(directory: Directory, actor: Actor, path: Path) -> bool:
    """Return whether ``load`` is for this file: an export, a directory without people, an operator.

    Raises OSError.
    """
    return (
        actor.kind == "system"
        and await asyncio.to_thread(begins_as_ours, path)
        and not await users.has_ever_had_users(directory.read(actor))
    )


async def load(
    directory: Directory,
    actor: Actor,
    path: Path,
    run_options: RunOptions,
    reporter: Reporter,
) -> Summary:
    """Load an exported directory as it was, in one transaction: after an error nothing is there.

    Ids, times, states, roles, groups, permissions and access are as in the file. Ids that the
    file knows were given out are not given out again. The file is checked first, and nothing is
    loaded if a line is refused, ``keep_going`` or not: the others refer to it.

    Args:
        directory: the application's shared state.
        actor: who loads; the command line.
        path: the file.
        run_options: of these, only whether this is a dry run.
        reporter: is told about the progress and the refused lines.

    Raises:
        Forbidden: the actor is not the command line.
        FileProblem: the file is no export, or of a later format; or the directory has tenants or
            groups, or has had users.
        OSError: the file cannot be read, or has changed since it was checked.
        Unavailable: the database cannot serve.
    """
    if policy.require_reach(actor, Action.IMPORT_USERS) is not Reach.ANY or actor.kind != "system":
        raise Forbidden(Reason.FUNCTION)
    started = time.monotonic()
    await _require_empty(directory.read(actor))
    found = await asyncio.to_thread(check_directory, path, reporter)
    if found.is_good and not run_options.dry_run:
        async with directory.begin(actor) as tx:
            await tx.lock(LOCK_TENANT_NAMES)
            await _require_empty(tx)
            await permissions.insert_missing(tx)
            await _load_lines(tx, path, found, reporter)
    return Summary(
        "",
        found.tally,
        seconds=time.monotonic() - started,
        dry_run=run_options.dry_run,
        whole=WholeDirectory(tenants=found.tenants, groups=found.groups),
    )


async def _require_empty(reader: Read | Tx) -> None:
    if not await directory_load.is_empty(reader):
        message = (
            "a whole directory needs an empty one, and this one has, or had, users, tenants or "
            "groups: import the file into a new database"
        )
        raise FileProblem(RowProblem(1, "", "invalid", message))


async def _load_lines(tx: Tx, path: Path, found: CheckedDirectory, reporter: Reporter) -> None:
    reporter.begin("write", found.size)
    loader = _Loader(tx, found.highest)
    waiting: list[Line] = []
    for line in read_lines(path):
        if line.value is None:
            continue  # the file has changed since it was checked; the numbers will differ
        if waiting and (len(waiting) >= STEP or type(line.value) is not type(waiting[0])):
            await loader.insert(waiting)
            reporter.advance(line.position, Tally(read=loader.users))
            waiting = []
        waiting.append(line.value)
    await loader.insert(waiting)
    loader.compare(found)
    await highest_ids.reserve(tx, loader.highest)
    audit.write(
        tx,
        AuditAction.IMPORT_USER,
        target_kind="directory",
        fields=("groups", "tenants", "users"),
    )


class _Loader:
    """Inserts lines that were checked; knows the ids of tenants and groups by their names."""

    def __init__(self, tx: Tx, highest: HighestIds) -> None:
        self._tx = tx
        self._next_ids = {
            name: last_id + 1 for name, last_id in msgspec.structs.asdict(highest).items()
        }
        self._tenant_ids: dict[str, int] = {}
        self._group_ids: dict[tuple[int, str], int] = {}
        self._counts = {"tenants": 0, "groups": 0, "users": 0}

    @property
    def users(self) -> int:
        """The number of users that are inserted."""
        return self._counts["users"]

    @property
    def highest(self) -> HighestIds:
        """The highest ids ever given out, here and where the directory was before."""
        return HighestIds(**{name: next_id - 1 for name, next_id in self._next_ids.items()})

    def compare(self, found: CheckedDirectory) -> None:
        """Raise OSError if the file is not the one that was checked."""
        checked = {"tenants": found.tenants, "groups": found.groups, "users": found.tally.created}
        if self._counts != checked:
            raise OSError("the file has changed while it was read")

    async def insert(self, lines: Sequence[Line]) -> None:
        """Insert lines that are all of one type."""
        match lines:
            case [TenantLine(), *_]:
                await self._insert_tenants([line for line in lines if isinstance(line, TenantLine)])
            case [GroupLine(), *_]:
                await self._insert_groups([line for line in lines if isinstance(line, GroupLine)])
            case [UserLine(), *_]:
                await self._insert_users([line for line in lines if isinstance(line, UserLine)])
            case _:
                pass

    def _id(self, name: str, given: int | UnsetType) -> int:
        self._counts[name] += 1
        if given is not UNSET:
            return given
        self._next_ids[name] += 1
        return self._next_ids[name] - 1

    def _times(self, line: TenantLine | UserLine) -> dict[str, int]:
        created_at = from_moment(line.created_at, self._tx.now)
        return {
            "created_at": created_at,
            "updated_at": from_moment(line.updated_at, self._tx.now),
        }

    async def _insert_tenants(self, lines: Sequence[TenantLine]) -> None:
        rows: list[dict[str, Any]] = []
        for line in lines:
            tenant_id = self._id("tenants", line.id)
            self._tenant_ids[canonical(line.slug)] = tenant_id
            rows.append(
                {
                    **{name: getattr(line, name).strip() for name in _TENANT_TEXTS},
                    "id": tenant_id,
                    "public_id": line.public_id or str(uuid.uuid4()),
                    "active": line.active,
                    "ever_owned": line.ever_owned,
                    "had_users": line.had_users,
                    **self._times(line),
                }
            )
        await directory_load.insert_tenants(self._tx, rows)

    async def _insert_groups(self, lines: Sequence[GroupLine]) -> None:
        rows: list[dict[str, Any]] = []
        permission_ids: list[tuple[int, int]] = []
        for line in lines:
            group_id = self._id("groups", line.id)
            tenant_id = self._tenant_ids[canonical(line.tenant)]
            name = line.name.strip()
            self._group_ids[tenant_id, canonical(name)] = group_id
            rows.append(
                {
                    "id": group_id,
                    "tenant_id": tenant_id,
                    "name": name,
                    "created_at": from_moment(line.created_at, self._tx.now),
                }
            )
            permission_ids += [(group_id, _PERMISSION_IDS[each]) for each in line.permissions]
        await directory_load.insert_groups(self._tx, rows, permission_ids)

    async def _insert_users(self, lines: Sequence[UserLine]) -> None:
        rows: list[dict[str, Any]] = []
        members: list[tuple[int, int]] = []
        granted: list[tuple[int, int, int, int]] = []
        resources: list[tuple[int, str, str, int, int]] = []
        for line in lines:
            row = self._user_row(line)
            user_id = row["id"]
            rows.append(row)
            members += [
                (user_id, self._group_ids[row["tenant_id"], canonical(name.strip())])
                for name in line.groups
            ]
            granted += [
                (user_id, _PERMISSION_IDS[each], *self._granted(_grant(line, each)))
                for each in line.permissions
            ]
            resources += [
                (user_id, each.resource, each.level, *self._granted(each)) for each in line.access
            ]
        await directory_load.insert_users(self._tx, rows)
        await directory_load.insert_grants(
            self._tx, members=members, permissions=granted, resources=resources
        )

    def _granted(self, granted: Granted | None) -> tuple[int, int]:
        if granted is None:
            return 0, self._tx.now
        return granted.granted_by, from_moment(granted.granted_at)

    def _user_row(self, line: UserLine) -> dict[str, Any]:
        row: dict[str, Any] = {name: (getattr(line, name) or "").strip() for name in _USER_TEXTS}
        row["username"] = row["username"] or row["email"]
        if line.display_name is UNSET:
            row["display_name"] = full_name(row["first_name"], row["last_name"])
        verified = line.email_verified if line.verified is UNSET else line.verified
        password_hash = passwords.judge(line.password_hash).stored if line.password_hash else ""
        row.update({name: getattr(line, name) for name in _USER_FLAGS})
        row.update(
            id=self._id("users", line.id),
            public_id=line.public_id or crypto.generate_public_id(),
            tenant_id=None if line.tenant is None else self._tenant_ids[canonical(line.tenant)],
            role=int(ROLES[line.role]),
            verified=verified is True,
            password_hash=password_hash,
            hash_imported_at=from_moment(
                line.hash_imported_at, self._tx.now if password_hash else 0
            ),
            last_login_at=from_moment(line.last_login_at),
            **self._times(line),
        )
        if line.email_key is not UNSET:
            row["email_key"] = line.email_key
        return row


def _grant(line: UserLine, codename: str) -> Granted | None:
    return None if line.grants is UNSET else line.grants.get(codename)
