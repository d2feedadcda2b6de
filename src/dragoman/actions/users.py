"""Users: list, view, create, change, switch on and off, set passwords, assign roles, delete."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from dragoman.actions import newcomers
from dragoman.actions.directory import Directory
from dragoman.actions.passwords import faults_of, store
from dragoman.rules import fields, policy
from dragoman.rules.errors import (
    Invalid,
    LastOwner,
    LastSuperadmin,
    NoTenant,
    NotFound,
    Problem,
    Taken,
)
from dragoman.rules.fields import Alphabet
from dragoman.rules.model import Actor, Filter, NewUser, Order, Page, Role, User, UserChanges
from dragoman.rules.passwords import Floor
from dragoman.rules.policy import Action, Reach
from dragoman.store import (
    audit,
    failures,
    grants,
    names,
    narrow,
    one_time,
    outbox,
    ranks,
    tenants,
    tokens,
    users,
)
from dragoman.store.engine import LOCK_OWNERS, LOCK_SUPERADMINS, Read, Tx


async def page(
    read: Read,
    wanted: Filter,
    orders: tuple[Order, ...],
    *,
    limit: int,
    offset: int = 0,
    after: tuple[Any, int] | None = None,
    problems: Iterable[Problem] = (),
) -> Page[User]:
    """Return users that the actor may list (see ``store.users.page``).

    Raises Forbidden; Invalid for what the dialect found wrong with the filters, and for a
    tenant that does not exist (told only to those who see every tenant).
    """
    reach = policy.allow(read.actor, Action.LIST_USERS)
    faults = list(problems)
    if (
        reach is Reach.ANY
        and wanted.tenant_id is not None
        and await tenants.find(read, wanted.tenant_id) is None
    ):
        faults.append(Problem("tenant", "unknown", wanted.tenant_id))
    if faults:
        raise Invalid(*faults)
    scope = narrow.scope_of(read.actor, reach)
    return await users.page(read, scope, wanted, orders, limit=limit, offset=offset, after=after)


async def view(read: Read, user_id: int) -> User:
    """Return one user; raises Forbidden, or NotFound for whatever is out of reach."""
    policy.allow(read.actor, Action.VIEW_USER)
    user = await users.find(read, user_id)
    if user is None:
        raise NotFound
    policy.require(read.actor, Action.VIEW_USER, user)
    return user


async def create(
    directory: Directory,
    actor: Actor,
    new: NewUser,
    password: str,
    floor: Floor,
    *,
    alphabet: Alphabet = Alphabet.STRICT,
    problems: Iterable[Problem] = (),
) -> User:
    """Add a user.

    Args:
        directory: where to.
        actor: who adds it.
        new: what it is made from; without a tenant it stands in the actor's own.
        password: in the clear; it is hashed here and goes no further.
        floor: what the contract asks of a password.
        alphabet: what the contract lets a username be made of.
        problems: what the dialect found wrong already; all of it is told at once.

    Raises Forbidden, Invalid or Unavailable.
    """
    reach = policy.allow(actor, Action.CREATE_USER)
    policy.require_assignable(actor, new.role)
    faults = list(problems)
    if not any(fault.field in {"role", "tenant_id"} for fault in faults):
        faults += _tenant_faults(actor, reach, new)
    if new.tenant_id in {UNSET, None} and reach is not Reach.ANY:
        new.tenant_id = actor.tenant_id
    return await newcomers.add(directory, actor, new, password, floor, alphabet, faults)


def _tenant_faults(actor: Actor, reach: Reach, new: NewUser) -> list[Problem]:
    if reach is Reach.ANY:
        missing = new.tenant_id in {UNSET, None} and not new.role.of_platform
        return [Problem("tenant", "tenant_required")] if missing else []
    foreign = new.tenant_id not in {UNSET, None, actor.tenant_id}
    return [Problem("tenant", "foreign_tenant")] if foreign else []


async def update(
    tx: Tx,
    user_id: int,
    changes: UserChanges,
    *,
    alphabet: Alphabet = Alphabet.STRICT,
    problems: Iterable[Problem] = (),
) -> User:
    """Change a user's own fields; what is UNSET stays.

    ``active`` obeys the rule of ``set_active``. Raises NotFound, Forbidden, Invalid,
    LastOwner or LastSuperadmin; then nothing is changed.
    """
    policy.allow(tx.actor, Action.UPDATE_USER)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.UPDATE_USER, user)
    switched = changes.active is not UNSET and changes.active is not user.active
    if switched:
        policy.require(tx.actor, Action.SET_ACTIVE, user)
    newcomers.trim(changes)
    faults = list(problems)
    told = {fault.field for fault in faults}
    faults += [p for p in fields.user_problems(changes, alphabet=alphabet) if p.field not in told]
    changed = {
        name: value
        for name, value in msgspec.structs.asdict(changes).items()
        if value is not UNSET and value != getattr(user, name)
    }
    told = {fault.field for fault in faults}
    wanted = {n: changed.get(n, getattr(user, n)) for n in ("username", "email")}
    if any(name in changed for name in wanted):
        held = await names.taken(tx, **wanted, besides=user.id)
        faults += [Problem(f, "taken") for f in held if f in changed and f not in told]
    if faults:
        raise Invalid(*faults)
    if not changed:
        return user
    if switched and not changes.active:
        await _guard_last(tx, user)
    return await _write(tx, user, changed, Action.UPDATE_USER)


async def _write(tx: Tx, user: User, changed: dict[str, Any], action: str) -> User:
    told = tuple(changed)
    plain = user.display_name == newcomers.joined(user.first_name, user.last_name)
    if plain and "display_name" not in changed and {"first_name", "last_name"} & changed.keys():
        first = changed.get("first_name", user.first_name)
        changed["display_name"] = newcomers.joined(first, changed.get("last_name", user.last_name))
    if "email" in changed:
        changed["verified"] = False
        await one_time.void(tx, user.id)
        await outbox.drop_of(tx, user.id)
    try:
        await users.save(tx, user, changed)
    except Taken as taken:
        raise Invalid(Problem(taken.field, "taken")) from None
    if changed.get("active") is False or "role" in changed:
        await users.cut_off(tx, user.id)
    await audit.write(tx, action, target_id=user.id, tenant_id=user.tenant_id, fields=told)
    return await users.get(tx, user.id)


async def set_active(
    tx: Tx, user_id: int, *, active: bool, problems: Iterable[Problem] = ()
) -> User:
    """Switch a user on or off; switching off ends every session of every contract.

    ``problems`` is what the dialect found wrong with the request. Raises NotFound, Forbidden,
    Invalid, LastOwner or LastSuperadmin.
    """
    policy.allow(tx.actor, Action.SET_ACTIVE)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.SET_ACTIVE, user)
    faults = list(problems)
    if faults:
        raise Invalid(*faults)
    if user.active is active:
        return user
    if not active:
        await _guard_last(tx, user)
    return await _write(tx, user, {"active": active}, Action.SET_ACTIVE)


async def set_password(
    directory: Directory,
    actor: Actor,
    user_id: int,
    password: str,
    floor: Floor,
    *,
    problems: Iterable[Problem] = (),
) -> None:
    """Set somebody else's password; ends every session of that user.

    Raises NotFound, Forbidden, Invalid or Unavailable.
    """
    policy.allow(actor, Action.SET_PASSWORD)
    user = await users.find(directory.read(actor), user_id)
    if user is None:
        raise NotFound
    policy.require(actor, Action.SET_PASSWORD, user)
    faults = list(problems) or faults_of(directory, password, floor, user)
    if faults:
        raise Invalid(*faults)
    encoded = await directory.hashing.hash(password)
    async with directory.begin(actor) as tx:
        user = await users.get(tx, user_id)
        policy.require(tx.actor, Action.SET_PASSWORD, user)
        await store(tx, user, encoded, Action.SET_PASSWORD)


async def assign_role(
    tx: Tx, user_id: int, role: Role, *, alike: frozenset[Role] = frozenset()
) -> User:
    """Give a user another role; every session of that user ends. The tenant stays.

    A user whose role is among ``alike`` (those that the contract calls by the same word)
    keeps it. Raises Forbidden, NotFound, NoTenant, LastOwner or LastSuperadmin, judged in
    this order.
    """
    policy.allow(tx.actor, Action.ASSIGN_ROLE)
    policy.require_assignable(tx.actor, role)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.ASSIGN_ROLE, user)
    if user.role is role or user.role in alike:
        return user
    if user.tenant_id is None and not role.of_platform:
        raise NoTenant
    await _guard_last(tx, user)
    if role is Role.OWNER and user.tenant_id is not None:
        await tenants.note_owner(tx, user.tenant_id)
    return await _write(tx, user, {"role": role}, Action.ASSIGN_ROLE)


async def delete(tx: Tx, user_id: int, *, erase: bool) -> User:
    """Delete a user: invisible, unusable, its names free; returns who it was.

    ``erase`` blanks every personal field, for contracts that promise it.
    Raises NotFound, Forbidden, LastOwner or LastSuperadmin.
    """
    policy.allow(tx.actor, Action.DELETE_USER)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.DELETE_USER, user)
    await _guard_last(tx, user)
    await tokens.remove_of(tx, user.id)
    await one_time.void(tx, user.id)
    await outbox.drop_of(tx, user.id)
    await grants.remove_of(tx, user.id)
    await failures.forget(tx, user.id)
    await users.remove(tx, user, erase=erase)
    await audit.write(tx, Action.DELETE_USER, target_id=user.id, tenant_id=user.tenant_id)
    return user


async def _guard_last(tx: Tx, user: User) -> None:
    """Let nobody take away the last active superadmin, nor a tenant's user the last owner."""
    if not user.active:
        return
    if user.role is Role.SUPERADMIN:
        await tx.lock(LOCK_SUPERADMINS)
        if not await ranks.has_other_superadmin(tx, user):
            raise LastSuperadmin
    if user.role is Role.OWNER and user.tenant_id and policy.guards_last_owner(tx.actor):
        await tx.lock(LOCK_OWNERS, user.tenant_id)
        if not await ranks.has_other_owner(tx, user):
            raise LastOwner
