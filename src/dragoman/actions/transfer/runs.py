"""The runs of imports: plan one, begin or resume it, and end it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from dragoman.actions import tenants as tenant_actions
from dragoman.actions.directory import Directory
from dragoman.actions.transfer.records import ImportedUser, ImportOptions, Tally
from dragoman.rules import crypto, fields, policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Invalid, NoTenant
from dragoman.rules.fields import canonical
from dragoman.rules.model import TenantChanges
from dragoman.rules.vocabulary import Action, Reach
from dragoman.store import imports, tenants
from dragoman.store.transaction import Read, Tx
from dragoman.store.user_lists import counters

MAX_CHUNK_ROWS = 3_000
"""Maximum number of rows per transaction, and their number on PostgreSQL."""
MIN_CHUNK_ROWS, FIRST_CHUNK_ROWS = 250, 500
"""Minimum number of rows per transaction on SQLite, whatever they take, and that of the first."""
NEW_TENANT = -1
"""Stands for the id of a tenant that the import will create."""


class ImportRun(msgspec.Struct):
    """A run of an import, planned or begun.

    Attributes:
        actor: who imports; once it has begun, the history holds ``public_id`` as its request id.
        options: the options.
        source: the name of the file.
        digest: the digest of the file and the options: a killed run is found by it.
        hash_key: the key of the digests of rows.
        tenant: the slug of the tenant of rows that name none.
        only_tenant_id: the only tenant of which the actor may import users; None: all.
        id: the id in the database; 0 until it has begun.
        public_id: the id for people (``imp_…``); empty until it has begun.
        record: how many records of the file an earlier run has done.
        line: the line of the last one.
        tally: what became of the records up to ``record``.
        tenants: the ids of tenants by canonical slug; None: there is no such tenant.
        first_users: what tenants were like before this import brought their first user:
            id → whether they ever had users, and whether the import brought the first owner.
        chunk_rows: how many rows the next chunk should have.
        shared_until: until when others count as writing too; a time of the monotonic clock.
    """

    actor: Actor
    options: ImportOptions
    source: str
    digest: str
    hash_key: bytes
    tenant: str
    only_tenant_id: int | None = None
    id: int = 0
    public_id: str = ""
    record: int = 0
    line: int = 0
    tally: Tally = msgspec.field(default_factory=Tally)
    tenants: dict[str, int | None] = {}
    first_users: dict[int, tuple[bool, bool]] = {}
    chunk_rows: int = MAX_CHUNK_ROWS
    shared_until: float = 0.0

    def tenant_id(self, row: ImportedUser) -> int | None:
        """Return the tenant of a row that ``load_tenants`` has seen; None if there is none."""
        return self.tenants.get(canonical(self.tenant_slug(row)))

    def tenant_slug(self, row: ImportedUser) -> str:
        """Return the slug of a row's tenant; empty for a platform role without one."""
        if row.tenant:
            return row.tenant
        has_none = row.role is not UNSET and row.role.is_platform_role
        return "" if has_none else self.tenant


async def plan(
    directory: Directory, actor: Actor, source_name: str, digest: str, options: ImportOptions
) -> ImportRun:
    """Return the run of an import, without writing anything: for the check pass and a dry run.

    It is the unfinished one of the same file with the same options, if there is one: records up
    to ``record`` are done already.

    Args:
        directory: the application's shared state.
        actor: who imports.
        source_name: the name of the file.
        digest: the digest of the file and the options.
        options: the options.

    Raises:
        Forbidden: the actor may not import users.
        NoTenant: the actor may import into its own tenant only, and has none.
    """
    reach = policy.require_reach(actor, Action.IMPORT_USERS)
    read = directory.read(actor)
    run = ImportRun(
        actor,
        options,
        source_name,
        digest,
        hashlib.blake2b(b"import rows", key=directory.server_key[:64]).digest(),
        options.tenant or directory.settings.tenant,
        chunk_rows=FIRST_CHUNK_ROWS if directory.driver.has_one_writer else MAX_CHUNK_ROWS,
    )
    if reach is not Reach.ANY:
        own_tenant = await tenants.find(read, actor.tenant_id or 0)
        if own_tenant is None:
            raise NoTenant
        run.only_tenant_id = own_tenant.id
        run.tenant = options.tenant or own_tenant.slug
    unfinished = await imports.find_unfinished(read, digest, actor.user_id)
    if unfinished is not None:
        run.record, run.line = unfinished.record, unfinished.line
        run.tally = msgspec.json.decode(unfinished.counts, type=Tally)
        run.first_users = msgspec.json.decode(unfinished.tenants, type=dict[int, tuple[bool, bool]])
        _begin(run, unfinished.id, unfinished.public_id)
    return run


async def start(
    directory: Directory, actor: Actor, source_name: str, digest: str, options: ImportOptions
) -> ImportRun:
    """Begin an import, or resume the unfinished one of the same file with the same options.

    Args:
        directory: the application's shared state.
        actor: who imports.
        source_name: the name of the file.
        digest: the digest of the file and the options.
        options: the options.

    Raises:
        Forbidden, NoTenant: as for ``plan``.
    """
    run = await plan(directory, actor, source_name, digest, options)
    if not run.id:
        public_id = f"imp_{crypto.generate_public_id()}"
        async with directory.begin(actor) as tx:
            import_id = await imports.insert(
                tx,
                public_id=public_id,
                source=source_name,
                digest=digest,
                options=msgspec.json.encode(options).decode(),
                tenant_id=run.only_tenant_id,
            )
        _begin(run, import_id, public_id)
    return run


def _begin(run: ImportRun, import_id: int, public_id: str) -> None:
    run.id, run.public_id = import_id, public_id
    run.actor = msgspec.structs.replace(run.actor, request_id=public_id)


async def finish(directory: Directory, run: ImportRun) -> None:
    """Record that the whole file is done; the same file would then be imported anew."""
    async with directory.begin(run.actor) as tx:
        policy.require_reach(tx.actor, Action.IMPORT_USERS)
        await imports.set_state(tx, run.id, imports.FINISHED)


async def load_tenants(reader: Read | Tx, run: ImportRun, rows: Sequence[ImportedUser]) -> None:
    """Find the tenants that rows name and the run does not know yet."""
    for slug in {run.tenant_slug(row) for row in rows}:
        key = canonical(slug)
        if not slug or key in run.tenants:
            continue
        tenant = await tenants.find_by_slug(reader, slug)
        if tenant is not None:
            run.tenants[key] = tenant.id
        else:
            may_create = run.options.create_tenants and not fields.slug_problems(slug)
            run.tenants[key] = NEW_TENANT if may_create else None


async def create_tenants(
    directory: Directory, run: ImportRun, rows: Sequence[ImportedUser]
) -> None:
    """Create the tenants of rows that may be created (``create_tenants``).

    Each has a transaction of its own, before that of its users: it stays if that one fails.
    """
    for slug in sorted({run.tenant_slug(row) for row in rows}):
        if run.tenants.get(canonical(slug)) != NEW_TENANT:
            continue
        try:
            async with directory.begin(run.actor) as tx:
                made = await tenant_actions.create(tx, TenantChanges(name=slug, slug=slug))
        except Invalid:  # somebody has created it meanwhile, or its name belongs to another tenant
            tenant = await tenants.find_by_slug(directory.read(run.actor), slug)
            run.tenants[canonical(slug)] = tenant.id if tenant else None
        else:
            run.tenants[canonical(slug)] = made.tenant.id


async def note_first_users(tx: Tx, run: ImportRun, tenant_id: int, *, brings_owner: bool) -> None:
    """Note what a tenant, whose row is locked, was like before its users come: for the undo.

    Args:
        tx: the transaction.
        run: the import.
        tenant_id: the tenant.
        brings_owner: whether an owner comes; the tenant counts as owned from now on.
    """
    is_first_owner = brings_owner and await tenants.mark_owned(tx, tenant_id)
    if tenant_id not in run.first_users:
        had_users = await counters.had_users(tx, tenant_id)
        run.first_users[tenant_id] = (had_users, is_first_owner)
    elif is_first_owner:
        run.first_users[tenant_id] = (run.first_users[tenant_id][0], True)
