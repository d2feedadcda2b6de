"""A password's two acts that several verbs share: judge it, and store its hash."""

from __future__ import annotations

from dragoman.actions.directory import Directory
from dragoman.rules import passwords
from dragoman.rules.errors import Problem
from dragoman.rules.model import NewUser, User
from dragoman.rules.passwords import Floor
from dragoman.store import audit, one_time_secrets, outbox, users
from dragoman.store.transaction import Tx


def faults_of(
    directory: Directory, password: str, floor: Floor, person: User | NewUser
) -> list[Problem]:
    """Return what is wrong with a password for a person, under the operator's policy."""
    effective = passwords.floor_for(directory.settings.password_policy, floor)
    context = {n: getattr(person, n) for n in ("username", "email", "first_name", "last_name")}
    return passwords.problems(password, effective, context=context)


async def store(tx: Tx, user: User, encoded: str, action: str) -> None:
    """Store a new password's hash: every session ends, waiting resets are void."""
    await users.set_hash(tx, user.id, encoded)
    await users.cut_off(tx, user.id)
    await one_time_secrets.void(tx, user.id)
    await outbox.drop_of(tx, user.id)
    audit.write(tx, action, target_id=user.id, tenant_id=user.tenant_id, fields=("password",))
