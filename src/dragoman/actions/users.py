"""Users: create, update, activate, set passwords, assign roles, delete."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from dragoman.actions.directory import Directory
from dragoman.actions.steps import (
    approval,
    change_user,
    create_user,
    delegation,
    guess_limits,
    remove_user,
)
from dragoman.actions.steps.passwords import hash_password, password_problems, store_password
from dragoman.rules import fields, policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Invalid, NoTenant, NotFound, Problem, Unchanged, WeakPassword
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import NewUser, Role, User, UserChanges
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import Action, AuditAction, Reach
from dragoman.store import (
    audit,
    login_names,
    tenants,
    users,
)
from dragoman.store.transaction import Tx


async def create(
    directory: Directory,
    actor: Actor,
    new: NewUser,
    password: str | None,
    rules: PasswordRules,
    *,
    charset: UsernameCharset = UsernameCharset.STRICT,
    problems: Iterable[Problem] = (),
) -> User:
    """Create a user.

    Args:
        directory: the application's shared state.
        actor: the caller.
        new: the new user; without a tenant it joins the actor's tenant.
        password: the password in plain text; None for a user who sets it later, behind a link.
        rules: the contract's password rules.
        charset: the characters that the contract allows in a username.
        problems: what the dialect found wrong with the request; reported together with the rest.

    Raises:
        Forbidden: the actor may not create users, or not with this role.
        Invalid: every problem that was found.
        Unavailable: the hashing queue is full, or the database cannot serve.
    """
    reach = policy.require_reach(actor, Action.CREATE_USER)
    policy.require_assignable(actor, new.role)
    all_problems = list(problems)
    if not any(problem.field in {"role", "tenant_id"} for problem in all_problems):
        all_problems += _tenant_problems(actor, reach, new)
    if new.tenant_id in {UNSET, None} and reach is not Reach.ANY:
        new.tenant_id = actor.tenant_id
    prepared = await create_user.prepare(
        directory, actor, new, password, rules, charset=charset, problems=all_problems
    )
    async with directory.begin(actor) as tx:
        return await create_user.insert(tx, prepared, AuditAction.CREATE_USER)


def _tenant_problems(actor: Actor, reach: Reach, new: NewUser) -> list[Problem]:
    if reach is Reach.ANY:
        is_missing = new.tenant_id in {UNSET, None} and not new.role.is_platform_role
        return [Problem("tenant", "tenant_required")] if is_missing else []
    is_foreign = new.tenant_id not in {UNSET, None, actor.tenant_id}
    return [Problem("tenant", "foreign_tenant")] if is_foreign else []


async def update(
    tx: Tx,
    user_id: int,
    changes: UserChanges,
    *,
    charset: UsernameCharset = UsernameCharset.STRICT,
    problems: Iterable[Problem] = (),
) -> User:
    """Update a user's fields; an unchanged value is not validated again.

    Args:
        tx: the transaction of the change.
        user_id: the user to update.
        changes: the new values; UNSET keeps the current one. ``active`` needs the same right as
            ``set_active``.
        charset: the characters that the contract allows in a username.
        problems: what the dialect found wrong with the request; reported together with the rest.

    Raises:
        NotFound, Forbidden: the policy refuses; checked before anything else. POWER if the
            username or e-mail address of a user changes who has rights that the actor lacks.
        Invalid: every problem that was found.
        LastOwner, LastSuperadmin: the user must stay active.
    """
    policy.require_reach(tx.actor, Action.UPDATE_USER, user_id)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.UPDATE_USER, user)
    active_changes = changes.active is not UNSET and changes.active is not user.active
    if active_changes:
        policy.require(tx.actor, Action.SET_ACTIVE, user)
    create_user.trim_fields(changes)
    keeps_username = changes.username in {UNSET, user.username}
    changes_email = bool(changes.email) and changes.email != user.email
    if change_user.uses_email_as_username(user) and changes_email and keeps_username:
        changes.username = changes.email
        charset = UsernameCharset.PERMISSIVE
    changed = {
        name: value
        for name, value in msgspec.structs.asdict(changes).items()
        if value is not UNSET and value != getattr(user, name)
    }
    is_address = tx.actor.is_user(user.id) and change_user.adopt_username(user, changed)
    if changed.keys() & {"username", "email"}:
        await delegation.require_power_over(tx, user)
    if all_problems := await _change_problems(tx, user, changed, charset, problems):
        reported = create_user.report_as_username(all_problems) if is_address else all_problems
        raise Invalid(*reported)
    if not changed:
        return user
    if active_changes and not changes.active:
        await change_user.ensure_not_last(tx, user)
    return await change_user.apply(tx, user, changed, AuditAction.UPDATE_USER)


async def _change_problems(
    tx: Tx,
    user: User,
    changed: dict[str, Any],
    charset: UsernameCharset,
    problems: Iterable[Problem],
) -> list[Problem]:
    """Return the dialect's problems and those of changed values, for fields not reported yet."""
    all_problems = list(problems)
    reported_fields = {problem.field for problem in all_problems}
    is_self = tx.actor.is_user(user.id)
    field_problems = fields.user_problems(UserChanges(**changed), charset=charset)
    all_problems += [problem for problem in field_problems if problem.field not in reported_fields]
    reported_fields = {problem.field for problem in all_problems}
    new_names = {n: changed.get(n, getattr(user, n)) for n in ("username", "email")}
    if any(name in changed for name in new_names):
        taken_fields = await login_names.taken(
            tx, **new_names, exclude_id=user.id, takes_over=not is_self
        )
        all_problems += [
            Problem(f, "taken") for f in taken_fields if f in changed and f not in reported_fields
        ]
    if is_self and not any(problem.field == "username" for problem in all_problems):
        all_problems += change_user.own_username_problems(user, changed)
    return all_problems


async def set_active(
    tx: Tx, user_id: int, *, active: bool, problems: Iterable[Problem] = ()
) -> User:
    """Activate or deactivate a user; deactivation revokes its sessions at every contract.

    Args:
        tx: the transaction of the change.
        user_id: the user to change.
        active: the new state.
        problems: what the dialect found wrong with the request.

    Raises:
        NotFound, Forbidden: the policy refuses.
        Invalid: the dialect reported problems.
        LastOwner, LastSuperadmin: the user must stay active.
    """
    policy.require_reach(tx.actor, Action.SET_ACTIVE)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.SET_ACTIVE, user)
    all_problems = list(problems)
    if all_problems:
        raise Invalid(*all_problems)
    if user.active is active:
        return user
    if not active:
        await change_user.ensure_not_last(tx, user)
    return await change_user.apply(tx, user, {"active": active}, AuditAction.SET_ACTIVE)


async def approve(tx: Tx, user_id: int, *, proven: bool = False) -> User:
    """Approve a user who signed up, so that closed contracts know it as well.

    With ``proven``, its e-mail address counts as proven. Raises NotFound or Forbidden.
    """
    policy.require_reach(tx.actor, Action.APPROVE_USER)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.APPROVE_USER, user)
    return await approval.approve(tx, user, proven=proven)


async def set_password(
    directory: Directory,
    actor: Actor,
    user_id: int,
    password: str,
    rules: PasswordRules,
    *,
    problems: Iterable[Problem] = (),
    reject_unchanged: bool = False,
    changes: UserChanges | None = None,
) -> None:
    """Set another user's password; all sessions of that user are revoked.

    Args:
        directory: the application's shared state.
        actor: the caller.
        user_id: the user whose password is set.
        password: the new password in plain text.
        rules: the contract's password rules.
        problems: what the dialect found wrong with the request; reported instead of the
            password's own problems.
        reject_unchanged: refuse the password that the user already has.
        changes: other fields to update in the same transaction, as ``update`` does.

    Raises:
        NotFound, Forbidden: the policy refuses.
        Invalid: every problem that was found.
        Unchanged: the user already has this password.
        Unavailable: the hashing queue is full, or the database cannot serve.
    """
    policy.require_reach(actor, Action.SET_PASSWORD)
    read = directory.read(actor)
    user = await users.find(read, user_id)
    if user is None:
        raise NotFound
    policy.require(actor, Action.SET_PASSWORD, user)
    await delegation.require_power_over(read, user)
    all_problems = list(problems) or password_problems(directory, password, rules, user)
    if all_problems:
        raise Invalid(*all_problems)
    hashed, compared_hash = None, ""
    while True:
        if reject_unchanged:
            compared_hash = await users.password_hash(read, user.id)
            if compared_hash and await directory.password_hasher.verify(password, compared_hash):
                raise Unchanged("password")
        hashed = hashed or await hash_password(directory, password, user, changes)
        async with directory.begin(actor) as tx:
            user, current_hash = await users.get_with_hash(tx, user_id)
            policy.require(tx.actor, Action.SET_PASSWORD, user)
            await delegation.require_power_over(tx, user)
            if reject_unchanged and current_hash != compared_hash:
                continue  # another password was set meanwhile: it may be this one
            if changes is not None:
                await update(tx, user_id, changes)
            await store_password(tx, user, hashed, AuditAction.SET_PASSWORD)
            return


async def unlock(tx: Tx, user_id: int) -> User:
    """Forget the failed sign-ins on an account, so that every address may try again.

    Raises NotFound or Forbidden.
    """
    policy.require_reach(tx.actor, Action.UNLOCK_USER)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.UNLOCK_USER, user)
    if await guess_limits.unlock(tx, user):
        audit.write(tx, AuditAction.UNLOCK_USER, target_id=user.id, tenant_id=user.tenant_id)
    return user


async def assign_role(
    tx: Tx, user_id: int, role: Role, *, same_role_names: frozenset[Role] = frozenset()
) -> User:
    """Assign a role to a user and revoke its sessions; the tenant does not change.

    Args:
        tx: the transaction of the change.
        user_id: the user to change.
        role: the new role; another one than the user has also approves the user.
        same_role_names: roles that have the same name at the contract; a user who has one of
            them keeps it.

    Raises:
        Forbidden, NotFound, NoTenant, WeakPassword, LastOwner, LastSuperadmin: checked in this
            order. WeakPassword if the user's password is known to be too weak for the role.
    """
    policy.require_reach(tx.actor, Action.ASSIGN_ROLE)
    policy.require_assignable(tx.actor, role)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.ASSIGN_ROLE, user)
    if user.role is role or user.role in same_role_names:
        return user
    if user.tenant_id is None and not role.is_platform_role:
        raise NoTenant
    if role.outranks(user.role) and role.needs_strong_password and user.strong_password is False:
        raise WeakPassword
    await change_user.ensure_not_last(tx, user)
    if role is Role.OWNER and user.tenant_id is not None:
        await tenants.mark_owned(tx, user.tenant_id)
    user = await approval.approve(tx, user)
    return await change_user.apply(tx, user, {"role": role}, AuditAction.ASSIGN_ROLE)


async def update_with_role(
    tx: Tx,
    user_id: int,
    *,
    changes: UserChanges | None = None,
    role: Role | None = None,
    active: bool | None = None,
    same_role_names: frozenset[Role] = frozenset(),
    problems: Iterable[Problem] = (),
) -> User:
    """Update fields, role and active state of a user together: all of them, or none.

    A role or state that the user already has is not a change: it may be sent back as it was read.

    Args:
        tx: the transaction of the change.
        user_id: the user to change.
        changes: the new values of the fields, or None.
        role: the new role, or None.
        active: the new state, or None.
        same_role_names: roles that have the same name at the contract (see ``assign_role``).
        problems: what the dialect found wrong with the request.

    Raises:
        Whatever ``update``, ``assign_role`` and ``set_active`` raise.
    """
    values_by_action = {
        Action.UPDATE_USER: changes,
        Action.ASSIGN_ROLE: role,
        Action.SET_ACTIVE: active,
    }
    requested_actions = [action for action, value in values_by_action.items() if value is not None]
    policy.require_reach(tx.actor, (requested_actions or [Action.UPDATE_USER])[0], user_id)
    user = await users.get(tx, user_id)
    is_self = tx.actor.is_user(user_id)
    if changes is not None:
        policy.require(tx.actor, Action.UPDATE_USER, user)
        role = None if user.role in same_role_names | {role} else role
        active = None if user.active is active else active
    if role is not None:
        policy.require_reach(tx.actor, Action.ASSIGN_ROLE, user_id)
    if active is not None:
        policy.require_reach(tx.actor, Action.SET_ACTIVE, user_id)
    if changes is not None or problems or not requested_actions:
        user = await update(tx, user_id, changes or UserChanges(), problems=problems)
    if role is not None and not (is_self and user.role in same_role_names | {role}):
        user = await assign_role(tx, user_id, role, same_role_names=same_role_names)
    if active is not None and not (is_self and user.active is active):
        user = await set_active(tx, user_id, active=active)
    return user


async def delete(tx: Tx, user_id: int, *, erase: bool) -> User:
    """Delete a user and return it as it was; its username and e-mail address become free.

    The row stays as a tombstone. With ``erase``, for contracts that promise this, everything that
    tells who it was is erased (see ``erasure.erase``).

    Raises:
        NotFound, Forbidden: the policy refuses.
        LastOwner, LastSuperadmin: the user must stay.
        Unavailable: the ledger of erasures cannot be written; raised at the end of the transaction.
    """
    policy.require_reach(tx.actor, Action.DELETE_USER, user_id)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.DELETE_USER, user)
    await change_user.ensure_not_last(tx, user)
    await remove_user.remove(tx, user, erase=erase, audit_action=AuditAction.DELETE_USER)
    return user
