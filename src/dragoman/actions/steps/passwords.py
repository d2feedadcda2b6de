"""Password steps that several actions share: check a password, store its hash."""

from __future__ import annotations

from dragoman.actions.directory import Directory
from dragoman.rules import passwords
from dragoman.rules.errors import Problem
from dragoman.rules.model import NewUser, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, one_time_secrets, outbox, users
from dragoman.store.transaction import Tx


def password_problems(
    directory: Directory, password: str, rules: PasswordRules, user: User | NewUser
) -> list[Problem]:
    """Return what is wrong with a password.

    Args:
        directory: the application's shared state; its settings may make the rules stricter.
        password: the password in plain text.
        rules: the contract's password rules.
        user: the password's user; the password must not resemble its names.
    """
    effective_rules = passwords.effective_rules(directory.settings.password_policy, rules)
    context = {n: getattr(user, n) for n in ("username", "email", "first_name", "last_name")}
    return passwords.password_rule_problems(password, effective_rules, context=context)


async def store_password(tx: Tx, user: User, encoded: str, action: AuditAction) -> None:
    """Store a new password hash, revoke all sessions and void pending reset links.

    Args:
        tx: the transaction of the change.
        user: the user; its row is locked.
        encoded: the encoded hash of the new password.
        action: what the audit log calls the change.
    """
    await users.set_password_hash(tx, user.id, encoded)
    await users.revoke_sessions(tx, user.id)
    await one_time_secrets.remove_for_user(tx, user.id)
    await outbox.remove_for_user(tx, user.id)
    audit.write(tx, action, target_id=user.id, tenant_id=user.tenant_id, fields=("password",))
