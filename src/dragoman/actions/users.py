"""Users: create, change, switch on and off, set passwords, assign roles, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import msgspec
from msgspec import UNSET

from dragoman.actions.directory import Directory
from dragoman.actions.steps import change_user, create_user
from dragoman.actions.steps.passwords import faults_of, store
from dragoman.rules import fields, policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import (
    Invalid,
    NoTenant,
    NotFound,
    Problem,
    Same,
)
from dragoman.rules.fields import Alphabet, canonical
from dragoman.rules.model import NewUser, Role, User, UserChanges
from dragoman.rules.passwords import Floor
from dragoman.rules.vocabulary import Action, Reach
from dragoman.store import (
    audit,
    grants,
    invitations,
    login_names,
    one_time_secrets,
    outbox,
    sign_in_failures,
    tenants,
    tokens,
    users,
)
from dragoman.store.transaction import Tx


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
    return await create_user.add(directory, actor, new, password, floor, alphabet, faults)


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
    """Change a user's own fields; what is UNSET stays, and what is so already is not judged.

    ``active`` obeys the rule of ``set_active``. Raises NotFound, Forbidden, Invalid,
    LastOwner or LastSuperadmin; then nothing is changed.
    """
    policy.allow(tx.actor, Action.UPDATE_USER, user_id)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.UPDATE_USER, user)
    switched = changes.active is not UNSET and changes.active is not user.active
    if switched:
        policy.require(tx.actor, Action.SET_ACTIVE, user)
    create_user.trim(changes)
    kept = changes.username in {UNSET, user.username}
    if _borrows(user) and changes.email and kept:
        changes.username = changes.email
        alphabet = Alphabet.FREE
    faults = list(problems)
    changed = {
        name: value
        for name, value in msgspec.structs.asdict(changes).items()
        if value is not UNSET and value != getattr(user, name)
    }
    told = {fault.field for fault in faults}
    found = fields.user_problems(UserChanges(**changed), alphabet=alphabet)
    faults += [problem for problem in found if problem.field not in told]
    told = {fault.field for fault in faults}
    wanted = {n: changed.get(n, getattr(user, n)) for n in ("username", "email")}
    if any(name in changed for name in wanted):
        held = await login_names.taken(tx, **wanted, besides=user.id)
        faults += [Problem(f, "taken") for f in held if f in changed and f not in told]
    if faults:
        raise Invalid(*faults)
    if not changed:
        return user
    if switched and not changes.active:
        await change_user.guard_last(tx, user)
    return await change_user.write(tx, user, changed, Action.UPDATE_USER)


def _borrows(user: User) -> bool:
    """Say whether a user has no username of its own, but its address."""
    return canonical(user.username) == canonical(user.email)


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
        await change_user.guard_last(tx, user)
    return await change_user.write(tx, user, {"active": active}, Action.SET_ACTIVE)


async def set_password(
    directory: Directory,
    actor: Actor,
    user_id: int,
    password: str,
    floor: Floor,
    *,
    problems: Iterable[Problem] = (),
    unlike: bool = False,
    also: Callable[[Tx], Awaitable[object]] | None = None,
) -> None:
    """Set somebody else's password; ends every session of that user.

    ``unlike`` refuses the password that the user has already; ``also`` does what belongs to the
    same transaction. Raises NotFound, Forbidden, Invalid, Same or Unavailable.
    """
    policy.allow(actor, Action.SET_PASSWORD)
    read = directory.read(actor)
    user = await users.find(read, user_id)
    if user is None:
        raise NotFound
    policy.require(actor, Action.SET_PASSWORD, user)
    faults = list(problems) or faults_of(directory, password, floor, user)
    if faults:
        raise Invalid(*faults)
    if unlike:
        earlier = await users.password_hash(read, user.id)
        if earlier and await directory.hashing.verify(password, earlier):
            raise Same("password")
    encoded = await directory.hashing.hash(password)
    async with directory.begin(actor) as tx:
        user = await users.get(tx, user_id)
        policy.require(tx.actor, Action.SET_PASSWORD, user)
        if also is not None:
            await also(tx)
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
    await change_user.guard_last(tx, user)
    if role is Role.OWNER and user.tenant_id is not None:
        await tenants.note_owner(tx, user.tenant_id)
    return await change_user.write(tx, user, {"role": role}, Action.ASSIGN_ROLE)


async def amend(
    tx: Tx,
    user_id: int,
    *,
    changes: UserChanges | None = None,
    role: Role | None = None,
    active: bool | None = None,
    alike: frozenset[Role] = frozenset(),
    problems: Iterable[Problem] = (),
) -> User:
    """Change several things of a user at once, all or none; what it already is, is no change.

    So whoever sends back what was read of the own role and state has not touched them.
    Raises what ``update``, ``assign_role`` and ``set_active`` raise.
    """
    wanted = {
        Action.UPDATE_USER: changes,
        Action.ASSIGN_ROLE: role,
        Action.SET_ACTIVE: active,
    }
    asked = [action for action, given in wanted.items() if given is not None]
    policy.allow(tx.actor, (asked or [Action.UPDATE_USER])[0], user_id)
    user = await users.get(tx, user_id)
    own = tx.actor.is_user(user_id)
    if changes is not None:
        policy.require(tx.actor, Action.UPDATE_USER, user)
        role = None if user.role in alike | {role} else role
        active = None if user.active is active else active
    if role is not None:
        policy.allow(tx.actor, Action.ASSIGN_ROLE, user_id)
    if active is not None:
        policy.allow(tx.actor, Action.SET_ACTIVE, user_id)
    if changes is not None or problems or not asked:
        user = await update(tx, user_id, changes or UserChanges(), problems=problems)
    if role is not None and not (own and user.role in alike | {role}):
        user = await assign_role(tx, user_id, role, alike=alike)
    if active is not None and not (own and user.active is active):
        user = await set_active(tx, user_id, active=active)
    return user


async def delete(tx: Tx, user_id: int, *, erase: bool) -> User:
    """Delete a user: invisible, unusable, its names free; returns who it was.

    ``erase`` blanks every personal field, for contracts that promise it.
    Raises NotFound, Forbidden, LastOwner or LastSuperadmin.
    """
    policy.allow(tx.actor, Action.DELETE_USER, user_id)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.DELETE_USER, user)
    await change_user.guard_last(tx, user)
    await tokens.remove_of(tx, user.id)
    await one_time_secrets.void(tx, user.id)
    await outbox.drop_of(tx, user.id)
    await grants.remove_of(tx, user.id)
    await sign_in_failures.forget(tx, user.id)
    await invitations.revoke_of(tx, user.id)
    await invitations.revoke_to(tx, canonical(user.email))
    if erase:
        await invitations.erase_of(tx, canonical(user.email), user.id)
    await users.remove(tx, user, erase=erase)
    audit.write(tx, Action.DELETE_USER, target_id=user.id, tenant_id=user.tenant_id)
    return user
