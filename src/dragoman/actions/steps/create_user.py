"""Create a user in two steps: check the input and hash the password, then insert the row."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import UNSET

from dragoman.actions.directory import Directory
from dragoman.actions.steps import give_way
from dragoman.actions.steps.passwords import (
    NO_PASSWORD,
    HashedPassword,
    hash_password,
    password_problems,
)
from dragoman.rules import crypto, fields
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Invalid, NotFound, Problem, Taken
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import NewUser, Role, User
from dragoman.rules.passwords import STRONG_LENGTH, PasswordRules
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, login_names, tenants, users
from dragoman.store.transaction import Read, Tx


class PreparedUser(msgspec.Struct, frozen=True):
    """A checked new user and the hash of its password, ready for ``insert``."""

    new: NewUser
    password: HashedPassword


async def prepare(
    directory: Directory,
    actor: Actor,
    new: NewUser,
    password: str | None,
    rules: PasswordRules,
    *,
    charset: UsernameCharset,
    problems: Iterable[Problem] = (),
    signed_up: bool = False,
) -> PreparedUser:
    """Check a new user and hash its password, before the transaction begins.

    Args:
        directory: the application's shared state.
        actor: the caller; its right to create this user is checked by the action.
        new: the new user; its texts are trimmed in place.
        password: the password in plain text; None for a user without a password.
        rules: the contract's password rules.
        charset: the characters that the contract allows in a username.
        problems: what the dialect found wrong with the request; reported together with the rest.
        signed_up: whether the user registers itself: a username that is an e-mail address must be
            its own address, and becomes it if none was given.

    Raises:
        Invalid: every problem that was found.
        Unavailable: the hashing queue is full, or the database cannot serve.
    """
    trim_fields(new)
    is_address = signed_up and not new.email and fields.reads_as_email(new.username)
    if is_address:
        new.email = new.username
    all_problems = list(problems)
    reported_fields = {problem.field for problem in all_problems}
    field_problems = fields.user_problems(new, charset=charset)
    all_problems += [problem for problem in field_problems if problem.field not in reported_fields]
    if password is not None and (
        password or not all_problems
    ):  # else the dialect has reported a missing password already
        all_problems += password_problems(directory, password, rules, new)
    all_problems += await _lookup_problems(
        directory.read(actor),
        new,
        {problem.field for problem in all_problems},
        takes_over=not signed_up,
    )
    if signed_up and not any(problem.field == "username" for problem in all_problems):
        all_problems += fields.own_username_problems(new.username, new.email)
    if is_address:
        all_problems = report_as_username(all_problems)
    if all_problems:
        raise Invalid(*all_problems)
    if password is None:
        return PreparedUser(new, NO_PASSWORD)
    return PreparedUser(new, await hash_password(directory, password, new))


def report_as_username(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems of an address that was given as a username alone, for that field."""
    renamed = (
        msgspec.structs.replace(problem, field="username") if problem.field == "email" else problem
        for problem in problems
    )
    return list(dict.fromkeys(renamed))


async def _lookup_problems(
    read: Read, new: NewUser, reported_fields: set[str], *, takes_over: bool
) -> list[Problem]:
    """Return the problems that only the database knows: taken names, an unknown tenant."""
    taken_fields = await login_names.taken(
        read, username=new.username, email=new.email, takes_over=takes_over
    )
    problems = [Problem(field, "taken") for field in taken_fields if field not in reported_fields]
    if (
        isinstance(new.tenant_id, int)
        and not reported_fields & {"tenant", "tenant_id"}
        and await tenants.find(read, new.tenant_id) is None
    ):
        problems.append(Problem("tenant", "unknown", new.tenant_id))
    return problems


async def insert(
    tx: Tx,
    prepared: PreparedUser,
    action: AuditAction,
    *,
    signed_up: bool = False,
    approved: bool = True,
) -> User:
    """Insert a prepared user, and record it in the audit log as ``action``.

    Args:
        tx: the transaction of the change.
        prepared: the result of ``prepare``; the caller may have changed its role since.
        action: what the audit log calls the change.
        signed_up: whether the user registers itself; nobody has proved its e-mail address then.
            Otherwise it takes an address over that somebody only claims.
        approved: whether closed contracts know the user.

    Raises:
        Invalid: a name was taken, or the tenant deleted, since ``prepare``; or the role that the
            user got since then needs a stronger password.
    """
    new = prepared.new
    if new.role.needs_strong_password and prepared.password.strong is False:
        raise Invalid(Problem("password", "weak", STRONG_LENGTH))
    tenant_id = None if new.tenant_id is UNSET else new.tenant_id
    if not signed_up:
        await give_way.take_over(tx, new.username, new.email)
    if tenant_id is not None:
        await _lock_tenant(tx, tenant_id, new.role)
    values = msgspec.structs.asdict(new)
    row = {
        **values,
        "public_id": crypto.generate_public_id(),
        "tenant_id": tenant_id,
        "role": int(new.role),
        "display_name": new.display_name or full_name(new.first_name, new.last_name),
        "password_hash": prepared.password.encoded,
        "strong_password": prepared.password.strong,
        "password_reaches": prepared.password.reaches,
        "approved": approved,
        "signed_up": signed_up,
        "verified": bool(new.email) and not signed_up,
        "email_assigned": bool(new.email) and not signed_up,
        "auth_epoch": 0,
        "created_at": tx.now,
        "updated_at": tx.now,
        "last_login_at": 0,
    }
    user_id = await users.insert(tx, row)
    await _claim_names(tx, user_id, new, takes_over=not signed_up)
    changed_fields = [name for name, value in values.items() if value != ""]
    audit.write(tx, action, target_id=user_id, tenant_id=tenant_id, fields=changed_fields)
    return await users.get(tx, user_id)


async def _claim_names(tx: Tx, user_id: int, new: NewUser, *, takes_over: bool) -> None:
    """Claim the names of a new user; one that was claimed a moment ago is taken over as well."""
    try:
        await users.claim_names(tx, user_id, new.username, new.email)
    except Taken as error:
        if not takes_over:
            raise Invalid(Problem(error.field, "taken")) from None
        await login_names.release(tx, user_id)
        await give_way.take_over(tx, new.username, new.email, exclude_id=user_id)
        await _claim_names(tx, user_id, new, takes_over=False)


async def _lock_tenant(tx: Tx, tenant_id: int, role: Role) -> None:
    try:
        await tenants.get(tx, tenant_id, lock="update" if role is Role.OWNER else "share")
    except NotFound:
        raise Invalid(Problem("tenant", "unknown", tenant_id)) from None
    if role is Role.OWNER:
        await tenants.mark_owned(tx, tenant_id)


def trim_fields(struct: msgspec.Struct) -> None:
    """Trim white space from the ends of every text of a struct, in place."""
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, str):
            setattr(struct, name, fields.trim(value))


def full_name(first_name: str, last_name: str) -> str:
    """Return the display name that a first and a last name make."""
    return f"{first_name} {last_name}".strip()
