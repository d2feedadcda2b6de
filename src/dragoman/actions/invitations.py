"""Invitations: send, list, send again, take back, look at, accept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import create_user, delegation, guess_limits, open_invitations
from dragoman.actions.steps.credentials import mint
from dragoman.actions.steps.open_invitations import Offer, Shown
from dragoman.rules import crypto, fields, policy
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import Credential, Kind
from dragoman.rules.errors import (
    Forbidden,
    Invalid,
    Limited,
    NotFound,
    Problem,
    Reason,
    Taken,
)
from dragoman.rules.fields import Alphabet, canonical
from dragoman.rules.model import DAY, HOUR, SECOND, Access, Invitation, NewUser, Page, Role, User
from dragoman.rules.passwords import Floor
from dragoman.rules.vocabulary import Action
from dragoman.store import access as holdings
from dragoman.store import audit, invitations, login_names, outbox, sign_in_failures, users
from dragoman.store.invitations import KIND
from dragoman.store.transaction import LOCK_INVITATIONS, Read, Tx
from dragoman.store.user_lists import filters

LASTS = 7 * DAY
MAILS_AN_HOUR = 5
"""To one address, from all tenants together."""


async def invite(
    tx: Tx,
    *,
    email: str,
    name: str,
    role: Role,
    resources: Sequence[str] = (),
    problems: Iterable[Problem] = (),
) -> Invitation:
    """Invite somebody to the actor's tenant; the mail goes out after the commit.

    Args:
        tx: the transaction of the change.
        email: whom.
        name: its display name; may be empty.
        role: what it becomes.
        resources: what acceptance opens in full.
        problems: what the dialect found wrong already; all of it is told at once.

    Raises Forbidden; Invalid; Taken(``email``) for the address of a user and
    Taken(``invitation``) for one that is invited already, in any tenant; Limited.
    """
    policy.allow(tx.actor, Action.INVITE)
    policy.require_assignable(tx.actor, role)
    if tx.actor.tenant_id is None:
        raise Forbidden(Reason.REACH)
    resources = tuple(dict.fromkeys(resources))
    await delegation.hold_all(tx, resources, delegation.FULL)
    await _hold_inviter(tx)
    email, name = fields.trim(email), fields.trim(name)
    faults = list(problems)
    told = {fault.field for fault in faults}
    found = [*_email_faults(email), *_name_faults(name)]
    faults += [fault for fault in found if fault.field not in told]
    if faults:
        raise Invalid(*faults)
    key = canonical(email)
    await tx.lock(LOCK_INVITATIONS, int.from_bytes(crypto.digest(key)[:4], "big"))
    if await login_names.taken(tx, username=email, email=email):
        raise Taken("email")
    if await open_invitations.backed(tx, await invitations.pending_of(tx, key, tx.now)):
        raise Taken("invitation")
    await invitations.revoke_to(tx, key)
    made = await invitations.insert(
        tx,
        public_id=crypto.make_public_id(),
        tenant_id=tx.actor.tenant_id,
        email=email,
        name=name,
        role=role,
        resources=resources,
        inviter_id=tx.actor.user_id,
        expires_at=tx.now + LASTS,
    )
    await _post(tx, made)
    _write(tx, "invite", made)
    return made


async def _hold_inviter(tx: Tx) -> None:
    """Let nobody offer anything while being cut off: the cut takes back what it finds there.

    Raises NotFound for a machine: an invitation is somebody's word.
    """
    await users.get(tx, tx.actor.user_id)


def _email_faults(email: str) -> list[Problem]:
    """Judge the address as what it will be: e-mail address and username of a user."""
    if not email:
        return [Problem("email", "blank")]
    return fields.user_problems(NewUser(username=email, email=email), alphabet=Alphabet.FREE)


def _name_faults(name: str) -> list[Problem]:
    faults = fields.text_problems(name, "name", limit=fields.LIMITS["display_name"])
    first, last = _parts(name)
    for part, limit in ((first, "first_name"), (last, "last_name")):
        faults = faults or fields.text_problems(part, "name", limit=fields.LIMITS[limit])
    return faults


def _parts(name: str) -> tuple[str, str]:
    """Return the first and the last name of a display name: it is split at its first space."""
    first, _, last = name.partition(" ")
    return first, fields.trim(last)


async def _post(tx: Tx, invitation: Invitation) -> None:
    """Put the mail into the outbox; raises Limited where the address gets too many of them."""
    account = "invitation:" + crypto.digest(canonical(invitation.email)).hex()
    if await guess_limits.count(tx, account, "", HOUR) >= MAILS_AN_HOUR:
        _, (since, _) = await sign_in_failures.find(tx, account, "")
        raise Limited(max(1, -(-(since + HOUR - tx.now) // SECOND)))
    payload = {"invitation": invitation.public_id, "generation": invitation.generation}
    text = msgspec.json.encode(payload).decode()
    await outbox.add(tx, KIND, user_id=None, recipient=invitation.email, payload=text)


def _write(tx: Tx, action: str, invitation: Invitation) -> None:
    audit.write(
        tx,
        action,
        target_kind="invitation",
        target_id=invitation.id,
        tenant_id=invitation.tenant_id,
    )


async def page(read: Read, *, limit: int, offset: int) -> Page[Offer]:
    """Return the invitations within reach, newest first, and their count; raises Forbidden."""
    reach = policy.allow(read.actor, Action.INVITE)
    scope = filters.scope_of(read.actor, reach)
    found = await invitations.page(read, scope, limit=limit, offset=offset)
    backed = await open_invitations.backed(
        read, [each for each in found.rows if open_invitations.is_open(each, read.now)]
    )
    rows = [
        Offer(each, open_invitations.status(each, read.now, backed=each.id in backed))
        for each in found.rows
    ]
    return Page(rows, found.count)


async def resend(tx: Tx, public_id: str) -> Invitation:
    """Send a pending invitation again: another week, another secret; the earlier link is void.

    Whoever resends it vouches for it from then on. Raises Forbidden; NotFound for whatever is
    not pending within reach; Limited.
    """
    policy.allow(tx.actor, Action.INVITE)
    await _hold_inviter(tx)
    found = await _pending(tx, public_id)
    policy.require_assignable(tx.actor, found.role)
    await delegation.hold_all(tx, found.resources, delegation.FULL)
    renewed = await invitations.renew(tx, found, tx.actor.user_id, tx.now + LASTS)
    await _post(tx, renewed)
    _write(tx, "resend_invitation", renewed)
    return renewed


async def revoke(tx: Tx, public_id: str) -> None:
    """Take a pending invitation back; raises Forbidden, or NotFound for whatever is not pending."""
    policy.allow(tx.actor, Action.INVITE)
    found = await _pending(tx, public_id)
    await invitations.revoke(tx, found.id)
    _write(tx, "revoke_invitation", found)


async def _pending(tx: Tx, public_id: str) -> Invitation:
    """Return, and hold, an open invitation within the actor's reach; raises NotFound."""
    found = await open_invitations.find(tx, public_id)
    if found is None or not open_invitations.is_open(found, tx.now):
        raise NotFound
    policy.require_tenant(tx.actor, Action.INVITE, found.tenant_id)
    if not await open_invitations.backed(tx, [found]):
        raise NotFound
    return found


async def show(directory: Directory, visitor: Actor, secret: str) -> Shown:
    """Return what an invitation's link opens, without using it up.

    Raises NotFound for a secret that is used, void, revoked, expired, unknown or malformed, and
    where the tenant or the inviter's right is gone: all alike.
    """
    return await open_invitations.opened_by(directory, directory.read(visitor), secret)


async def accept(
    directory: Directory,
    visitor: Actor,
    secret: str,
    password: str,
    name: str,
    floor: Floor,
    kind: Kind,
    *,
    problems: Iterable[Problem] = (),
) -> tuple[User, Credential]:
    """Become the user that an invitation is for; returns it and a first credential.

    Args:
        directory: where to.
        visitor: who asks.
        secret: of the link; it works once, ever.
        password: in the clear; it is hashed here and goes no further.
        name: the display name; empty for that of the invitation.
        floor: what the contract asks of a password.
        kind: how the contract's credentials look.
        problems: what the dialect found wrong already; all of it is told at once.

    Raises NotFound as ``show`` does, before anything else is judged; Invalid; Taken(``email``)
    where somebody got the address meanwhile; Unavailable.
    """
    invitation = (
        await open_invitations.opened_by(directory, directory.read(visitor), secret)
    ).invitation
    faults = list(problems)
    chosen = fields.trim(name) or invitation.name
    told = {fault.field for fault in faults}
    wrong = [] if "name" in told else _name_faults(chosen)
    faults += wrong
    if wrong or "name" in told:
        chosen = ""  # judged: it is not judged again under the names of a user's fields
    first, last = _parts(chosen)
    new = NewUser(
        username=invitation.email,
        email=invitation.email,
        role=invitation.role,
        tenant_id=invitation.tenant_id,
        first_name=first,
        last_name=last,
        display_name=chosen,
    )
    given: list[Credential] = []

    async def hold(tx: Tx, new: NewUser) -> None:
        held = (await open_invitations.opened_by(directory, tx, secret)).invitation
        new.role = held.role

    async def enter(tx: Tx, user: User) -> None:
        await invitations.accepted(tx, invitation.id, user.id)
        opened = [Access(resource, delegation.FULL) for resource in invitation.resources]
        await holdings.put(tx, user.id, opened, granted_by=invitation.inviter_id)
        given.append(await mint(tx, directory, user, kind))
        users.signed_in(tx, user.id)
        guess_limits.Guess(directory, visitor, user.username, user).succeeded(tx)
        _write(tx, "accept_invitation", invitation)

    try:
        user = await create_user.add(
            directory, visitor, new, password, floor, Alphabet.FREE, faults,
            action="accept_invitation", also=enter, before=hold, verified=True,
        )  # fmt: skip
    except Invalid as refused:
        # A rival with the same link may have been faster: then it is used, and nothing else.
        await open_invitations.opened_by(directory, directory.read(visitor), secret)
        raise _spoken(refused) from None
    return user, given[0]


def _spoken(refused: Invalid) -> Invalid | Taken:
    """Return what is wrong besides the address, which nobody gave; else that it is taken."""
    others = [fault for fault in refused.problems if fault.field not in {"username", "email"}]
    return Invalid(*others) if others else Taken("email")
