"""Password steps that several actions share: check a password, hash and store it."""

from __future__ import annotations

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import mailed_links
from dragoman.rules import passwords
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.model import NewUser, User, UserChanges
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, invitations, users
from dragoman.store.transaction import Tx


class HashedPassword(msgspec.Struct, frozen=True):
    """The encoded hash of a new password, and what is noted of it.

    Attributes:
        encoded: the encoded hash.
        strong: whether the password is strong enough for owners; None if unknown.
        reaches: the length step that it reaches; None if unknown.
    """

    encoded: str
    strong: bool | None
    reaches: int | None = None


NO_PASSWORD = HashedPassword("", None)
"""What is stored for people who have no password yet: they cannot sign in with one."""


def password_problems(
    directory: Directory, password: str, rules: PasswordRules, user: User | NewUser
) -> list[Problem]:
    """Return what is wrong with a password.

    Owners and platform administrators need a strong one (``rules.passwords.weakness``), whatever
    the contract's own minimum.

    Args:
        directory: the application's shared state; its settings may make the rules stricter.
        password: the password in plain text.
        rules: the contract's password rules.
        user: the password's user; the password must not resemble its names.
    """
    effective_rules = passwords.effective_rules(directory.settings.password_policy, rules)
    context = {n: getattr(user, n) for n in ("username", "email", "first_name", "last_name")}
    problems = passwords.password_rule_problems(password, effective_rules, context=context)
    if not problems and user.role.needs_strong_password:
        return passwords.weakness(password, username=user.username, email=user.email)
    return problems


def is_strong(password: str, user: User | NewUser) -> bool:
    """Return whether a password is strong enough for owners and platform administrators."""
    return not passwords.weakness(password, username=user.username, email=user.email)


async def hash_password(
    directory: Directory, password: str, user: User | NewUser, changes: UserChanges | None = None
) -> HashedPassword:
    """Hash a checked password, and note whether it is strong.

    Args:
        directory: the application's shared state.
        password: the password in plain text.
        user: the password's user.
        changes: the names that the user gets together with the password, if any.

    Raises:
        Unavailable: the hashing queue is full.
    """
    strong = is_strong(password, user)
    if strong and changes is not None:
        names = {n: v for n in ("username", "email") if isinstance(v := getattr(changes, n), str)}
        strong = is_strong(password, msgspec.structs.replace(user, **names))
    encoded = await directory.password_hasher.hash(password)
    return HashedPassword(encoded, strong, passwords.length_step(password))


async def store_password(
    tx: Tx, user: User, new: HashedPassword, action: AuditAction, *, keeps_session: bool = False
) -> None:
    """Store a new password hash, revoke all sessions and void pending reset links.

    The invitations that the revoked sessions have sent are revoked as well.

    Args:
        tx: the transaction of the change.
        user: the user; its row is locked.
        new: the hash of the new password.
        action: what the audit log calls the change.
        keeps_session: whether the caller will keep the actor's own session.

    Raises:
        Invalid: the user got a role meanwhile that needs a stronger password.
    """
    if user.role.needs_strong_password and not new.strong:
        raise Invalid(Problem("password", "weak", passwords.STRONG_LENGTH))
    await users.set_password(tx, user.id, new.encoded, strong=bool(new.strong), reaches=new.reaches)
    await users.revoke_sessions(tx, user.id)
    await mailed_links.void_password_links(tx, user.id)
    kept_session_id = tx.actor.session_id if keeps_session else 0
    await invitations.revoke_by_inviter(tx, user.id, kept_session_id=kept_session_id)
    audit.write(tx, action, target_id=user.id, tenant_id=user.tenant_id, fields=("password",))
