"""Sign up, sign in, and change the own password."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable

from dragoman.actions.directory import Directory
from dragoman.actions.steps import create_user, guess_limits, passwords
from dragoman.actions.steps.credentials import hold_tenant, mint
from dragoman.rules import policy
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import Credential, Kind
from dragoman.rules.errors import (
    BadCredentials,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    Reason,
    Unauthenticated,
    Unavailable,
)
from dragoman.rules.fields import Alphabet, canonical
from dragoman.rules.model import NewUser, Role, User
from dragoman.rules.passwords import Floor, needs_rehash
from dragoman.rules.vocabulary import Action
from dragoman.store import audit, tenants, tokens
from dragoman.store import users as people
from dragoman.store.transaction import Tx


def must_be_open(directory: Directory) -> None:
    """Raise Forbidden(CLOSED) where nobody may sign up, before anything that came is judged."""
    if not directory.settings.self_registration:
        raise Forbidden(Reason.CLOSED)


async def sign_up(
    directory: Directory,
    visitor: Actor,
    new: NewUser,
    password: str,
    floor: Floor,
    kind: Kind | None,
    *,
    alphabet: Alphabet = Alphabet.STRICT,
    first_owns: bool = False,
    problems: Iterable[Problem] = (),
) -> tuple[User, Credential]:
    """Register a member of the tenant of the settings; returns the user and a first credential.

    Without a ``kind`` that is empty, and nobody has signed in yet. ``first_owns`` makes an owner
    of the first to come where the tenant has never had one.
    Raises Forbidden(CLOSED), Invalid or Unavailable.
    """
    must_be_open(directory)
    home = await tenants.find_by_slug(directory.read(visitor), directory.settings.tenant)
    if home is None or not home.active:
        raise Forbidden(Reason.CLOSED)
    new.role, new.tenant_id, new.active = Role.MEMBER, home.id, True
    given: list[Credential] = []

    async def arrive(tx: Tx, new: NewUser) -> None:
        now = await tenants.get(tx, home.id, to_change=first_owns)
        if not now.active:
            raise Forbidden(Reason.CLOSED)  # switched off while the password was hashed
        if first_owns and await tenants.note_owner(tx, home.id):
            new.role = Role.OWNER

    async def enter(tx: Tx, user: User) -> None:
        if kind is None:
            return
        given.append(await mint(tx, directory, user, kind))
        people.signed_in(tx, user.id)
        guess_limits.Guess(directory, visitor, user.username, user).succeeded(tx)

    faults = list(problems)
    user = await create_user.add(
        directory,
        visitor,
        new,
        password,
        floor,
        alphabet,
        faults,
        action="sign_up",
        before=arrive,
        also=enter,
    )
    return user, given[0] if given else Credential("", 0)


async def sign_in(
    directory: Directory,
    visitor: Actor,
    name: str,
    password: str,
    kind: Kind,
    *,
    by_email: bool = False,
) -> tuple[User, Credential]:
    """Sign in by username or e-mail address (or that alone); returns the user and a credential.

    Unknown, wrong, inactive and deleted are alike: BadCredentials after exactly one hash
    verification. Raises Limited after too many failures.
    """
    directory.hashing.gate.look()
    read = directory.read(visitor)
    user, encoded = await people.find_with_hash(read, name) or (None, "")
    if user and by_email and canonical(user.email) != canonical(name.strip()):
        user, encoded = None, ""
    guess = guess_limits.Guess(directory, visitor, name, user)
    await guess.must_be_open(read)
    right = await directory.hashing.verify(password, encoded)
    credential: Credential | None = None
    async with directory.begin(visitor, holding=guess.lock) as tx:
        await guess.must_be_open(tx)
        now = await _enters(tx, user, encoded) if user and right else None
        if now is None:
            await guess.failed(tx)
        else:
            guess.succeeded(tx)
            people.signed_in(tx, now.id)
            credential = await mint(tx, directory, now, kind)
            audit.write(tx, "sign_in", target_id=now.id, tenant_id=now.tenant_id)
    if now is None or credential is None:
        raise BadCredentials
    with contextlib.suppress(Unavailable):
        await _rehash(directory, visitor, now.id, password, encoded)
    return now, credential


async def _rehash(
    directory: Directory, actor: Actor, user_id: int, password: str, encoded: str
) -> None:
    """Store a fresh hash where the old one is of an older kind; only who got in pays for it."""
    if not needs_rehash(encoded):
        return
    fresh = await directory.hashing.hash(password)
    async with directory.begin(actor) as tx:
        with contextlib.suppress(NotFound):
            _, now = await people.get_with_hash(tx, user_id)
            if now == encoded:  # nobody has set another one, and nobody can meanwhile
                await people.set_hash(tx, user_id, fresh)


async def _enters(tx: Tx, user: User, encoded: str) -> User | None:
    """Return the user as it stands now, unless it was switched off or got another password."""
    try:
        now, its_hash = await people.get_with_hash(tx, user.id)
    except NotFound:
        return None
    if not now.active or its_hash != encoded:
        return None
    return now if await hold_tenant(tx, now) else None


async def change_password(
    directory: Directory,
    actor: Actor,
    current: str,
    password: str,
    floor: Floor,
    *,
    problems: Iterable[Problem] = (),
    also: Callable[[Tx], Awaitable[object]] | None = None,
) -> None:
    """Change the own password: takes the current one, ends all other sessions, keeps this one.

    ``also`` does what belongs to the same transaction. ``problems`` is what the dialect found
    wrong; the current password is judged with it.
    A wrong current password counts as a failed sign-in. Raises Invalid (field ``current``, code
    ``wrong``), Limited or Unavailable.
    """
    policy.allow(actor, Action.CHANGE_PASSWORD)
    read = directory.read(actor)
    user = await people.find(read, actor.user_id)
    if user is None:
        raise Unauthenticated("unknown")
    faults = list(problems)
    told = {fault.field for fault in faults}
    if password or not faults:
        faults += passwords.faults_of(directory, password, floor, user)
    guess = guess_limits.Guess(directory, actor, user.username, user)
    if "current" not in told:
        await guess.must_be_open(read)
        encoded = await people.password_hash(read, user.id)
        right = await directory.hashing.verify(current, encoded)
        async with directory.begin(actor, holding=guess.lock) as tx:  # whatever else is wrong
            await guess.must_be_open(tx)
            if not right:
                await guess.failed(tx)
                faults.append(Problem("current", "wrong"))
    if faults:
        raise Invalid(*faults)
    fresh = await directory.hashing.hash(password)
    async with directory.begin(actor) as tx:
        user = await people.get(tx, actor.user_id)
        if also is not None:
            await also(tx)
        await passwords.store(tx, user, fresh, Action.CHANGE_PASSWORD)
        await tokens.keep(tx, actor.token_id, user.id)
