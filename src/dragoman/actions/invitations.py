"""Invitations: send, list, send again, take back, look at, accept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import create_user, delegation, guess_limits, open_invitations
from dragoman.actions.steps.credentials import mint
from dragoman.actions.steps.open_invitations import InvitationWithStatus, OpenInvitation
from dragoman.rules import crypto, fields, policy
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import Credential, CredentialFormat
from dragoman.rules.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    RateLimited,
    Reason,
    Taken,
)
from dragoman.rules.fields import UsernameCharset, canonical
from dragoman.rules.model import DAY, HOUR, SECOND, Access, Invitation, NewUser, Page, Role, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import Action
from dragoman.store import access as access_store
from dragoman.store import audit, invitations, login_names, outbox, sign_in_failures, users
from dragoman.store.invitations import OUTBOX_KIND
from dragoman.store.transaction import LOCK_INVITATIONS, Read, Tx
from dragoman.store.user_lists import filters

LIFETIME = 7 * DAY
MAX_MAILS_PER_HOUR = 5
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
    policy.require_reach(tx.actor, Action.INVITE)
    policy.require_assignable(tx.actor, role)
    if tx.actor.tenant_id is None:
        raise Forbidden(Reason.REACH)
    resources = tuple(dict.fromkeys(resources))
    await delegation.require_full_access(tx, resources, delegation.FULL_LEVEL)
    await _lock_inviter(tx)
    email, name = fields.trim(email), fields.trim(name)
    all_problems = list(problems)
    reported_fields = {problem.field for problem in all_problems}
    field_problems = [*_email_problems(email), *_name_problems(name)]
    all_problems += [problem for problem in field_problems if problem.field not in reported_fields]
    if all_problems:
        raise Invalid(*all_problems)
    email_key = canonical(email)
    await tx.lock(LOCK_INVITATIONS, int.from_bytes(crypto.digest(email_key)[:4], "big"))
    if await login_names.taken(tx, username=email, email=email):
        raise Taken("email")
    if await open_invitations.still_authorised(
        tx, await invitations.list_pending(tx, email_key, tx.now)
    ):
        raise Taken("invitation")
    await invitations.revoke_by_email(tx, email_key)
    invitation = await invitations.insert(
        tx,
        public_id=crypto.generate_public_id(),
        tenant_id=tx.actor.tenant_id,
        email=email,
        name=name,
        role=role,
        resources=resources,
        inviter_id=tx.actor.user_id,
        expires_at=tx.now + LIFETIME,
    )
    await _enqueue_mail(tx, invitation)
    _write_audit(tx, "invite", invitation)
    return invitation


async def _lock_inviter(tx: Tx) -> None:
    """Let nobody offer anything while being cut off: the cut takes back what it finds there.

    Raises NotFound for a machine: an invitation is somebody's word.
    """
    await users.get(tx, tx.actor.user_id)


def _email_problems(email: str) -> list[Problem]:
    """Judge the address as what it will be: e-mail address and username of a user."""
    if not email:
        return [Problem("email", "blank")]
    return fields.user_problems(
        NewUser(username=email, email=email), charset=UsernameCharset.PERMISSIVE
    )


def _name_problems(name: str) -> list[Problem]:
    problems = fields.text_problems(
        name, "name", max_length=fields.USER_MAX_LENGTHS["display_name"]
    )
    first, last = _split_name(name)
    for part, limit in ((first, "first_name"), (last, "last_name")):
        problems = problems or fields.text_problems(
            part, "name", max_length=fields.USER_MAX_LENGTHS[limit]
        )
    return problems


def _split_name(name: str) -> tuple[str, str]:
    """Return the first and the last name of a display name: it is split at its first space."""
    first, _, last = name.partition(" ")
    return first, fields.trim(last)


async def _enqueue_mail(tx: Tx, invitation: Invitation) -> None:
    """Put the mail into the outbox; raises Limited where the address gets too many of them."""
    account = "invitation:" + crypto.digest(canonical(invitation.email)).hex()
    if await guess_limits.increment(tx, account, "", HOUR) >= MAX_MAILS_PER_HOUR:
        _, (window_start, _) = await sign_in_failures.failure_counts(tx, account, "")
        raise RateLimited(max(1, -(-(window_start + HOUR - tx.now) // SECOND)))
    payload = {"invitation": invitation.public_id, "generation": invitation.generation}
    payload_json = msgspec.json.encode(payload).decode()
    await outbox.insert(
        tx, OUTBOX_KIND, user_id=None, recipient=invitation.email, payload=payload_json
    )


def _write_audit(tx: Tx, action: str, invitation: Invitation) -> None:
    audit.write(
        tx,
        action,
        target_kind="invitation",
        target_id=invitation.id,
        tenant_id=invitation.tenant_id,
    )


async def list_page(read: Read, *, limit: int, offset: int) -> Page[InvitationWithStatus]:
    """Return the invitations within reach, newest first, and their count; raises Forbidden."""
    reach = policy.require_reach(read.actor, Action.INVITE)
    scope = filters.scope_for(read.actor, reach)
    found = await invitations.page(read, scope, limit=limit, offset=offset)
    authorised_ids = await open_invitations.still_authorised(
        read,
        [invitation for invitation in found.rows if open_invitations.is_open(invitation, read.now)],
    )
    rows = [
        InvitationWithStatus(
            invitation,
            open_invitations.status(
                invitation, read.now, authorised=invitation.id in authorised_ids
            ),
        )
        for invitation in found.rows
    ]
    return Page(rows, found.count)


async def resend(tx: Tx, public_id: str) -> Invitation:
    """Send a pending invitation again: another week, another secret; the earlier link is void.

    Whoever resends it vouches for it from then on. Raises Forbidden; NotFound for whatever is
    not pending within reach; Limited.
    """
    policy.require_reach(tx.actor, Action.INVITE)
    await _lock_inviter(tx)
    invitation = await _get_pending(tx, public_id)
    policy.require_assignable(tx.actor, invitation.role)
    await delegation.require_full_access(tx, invitation.resources, delegation.FULL_LEVEL)
    renewed = await invitations.renew(tx, invitation, tx.actor.user_id, tx.now + LIFETIME)
    await _enqueue_mail(tx, renewed)
    _write_audit(tx, "resend_invitation", renewed)
    return renewed


async def revoke(tx: Tx, public_id: str) -> None:
    """Take a pending invitation back; raises Forbidden, or NotFound for whatever is not pending."""
    policy.require_reach(tx.actor, Action.INVITE)
    invitation = await _get_pending(tx, public_id)
    await invitations.revoke(tx, invitation.id)
    _write_audit(tx, "revoke_invitation", invitation)


async def _get_pending(tx: Tx, public_id: str) -> Invitation:
    """Return, and hold, an open invitation within the actor's reach; raises NotFound."""
    invitation = await open_invitations.find(tx, public_id)
    if invitation is None or not open_invitations.is_open(invitation, tx.now):
        raise NotFound
    policy.require_tenant(tx.actor, Action.INVITE, invitation.tenant_id)
    if not await open_invitations.still_authorised(tx, [invitation]):
        raise NotFound
    return invitation


async def get_open(directory: Directory, visitor: Actor, secret: str) -> OpenInvitation:
    """Return what an invitation's link opens, without using it up.

    Raises NotFound for a secret that is used, void, revoked, expired, unknown or malformed, and
    where the tenant or the inviter's right is gone: all alike.
    """
    return await open_invitations.by_secret(directory, directory.read(visitor), secret)


async def accept(
    directory: Directory,
    visitor: Actor,
    secret: str,
    password: str,
    name: str,
    rules: PasswordRules,
    credential_format: CredentialFormat,
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
        await open_invitations.by_secret(directory, directory.read(visitor), secret)
    ).invitation
    faults = list(problems)
    chosen = fields.trim(name) or invitation.name
    told = {fault.field for fault in faults}
    wrong = [] if "name" in told else _name_problems(chosen)
    faults += wrong
    if wrong or "name" in told:
        chosen = ""  # judged: it is not judged again under the names of a user's fields
    first, last = _split_name(chosen)
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
        held = (await open_invitations.by_secret(directory, tx, secret)).invitation
        new.role = held.role

    async def enter(tx: Tx, user: User) -> None:
        await invitations.accept(tx, invitation.id, user.id)
        opened = [Access(resource, delegation.FULL_LEVEL) for resource in invitation.resources]
        await access_store.upsert(tx, user.id, opened, granted_by=invitation.inviter_id)
        given.append(await mint(tx, directory, user, credential_format))
        users.record_sign_in(tx, user.id)
        guess_limits.SignInAttempt(directory, visitor, user.username, user).record_success(tx)
        _write_audit(tx, "accept_invitation", invitation)

    try:
        user = await create_user.insert(
            directory, visitor, new, password, rules, UsernameCharset.PERMISSIVE, faults,
            action="accept_invitation", also=enter, before=hold, verified=True,
        )  # fmt: skip
    except Invalid as refused:
        # A rival with the same link may have been faster: then it is used, and nothing else.
        await open_invitations.by_secret(directory, directory.read(visitor), secret)
        raise _acceptance_error(refused) from None
    return user, given[0]


def _acceptance_error(error: Invalid) -> Invalid | Taken:
    """Return what is wrong besides the address, which nobody gave; else that it is taken."""
    other_problems = [
        problem for problem in error.problems if problem.field not in {"username", "email"}
    ]
    return Invalid(*other_problems) if other_problems else Taken("email")
