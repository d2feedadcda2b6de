"""Invitations: send, list, resend, revoke, show, accept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dragoman.actions.directory import Directory
from dragoman.actions.steps import (
    create_user,
    delegation,
    give_way,
    guess_limits,
    mails,
    open_invitations,
)
from dragoman.actions.steps.create_user import PreparedUser
from dragoman.actions.steps.credentials import mint
from dragoman.actions.steps.open_invitations import InvitationWithStatus, OpenInvitation
from dragoman.actions.steps.sign_in_log import log_sign_in
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
from dragoman.rules.model import DAY, SECOND, Access, Invitation, NewUser, Page, Role, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import access as access_store
from dragoman.store import audit, invitations, login_names, sign_in_failures, tenants, users
from dragoman.store.invitations import OUTBOX_KIND
from dragoman.store.transaction import LOCK_INVITATIONS, Read, Tx
from dragoman.store.user_lists import filters

LIFETIME = 7 * DAY


async def invite(
    tx: Tx,
    *,
    email: str,
    name: str,
    role: Role,
    resources: Sequence[str] = (),
    tenant: str = "",
    problems: Iterable[Problem] = (),
) -> Invitation:
    """Invite a person to a tenant; the mail is sent after the commit.

    Args:
        tx: the transaction of the change.
        email: the person's address.
        name: the person's display name; may be empty.
        role: the role that the new user gets.
        resources: the resources that the new user gets full access to.
        tenant: the slug of the tenant; empty for the actor's own.
        problems: what the dialect found wrong with the request; reported together with the rest.

    Raises:
        Forbidden: the actor may not invite, or not with this role or these resources.
        Invalid: every problem that was found.
        Taken: a user holds the ``email``, or an ``invitation`` of the tenant is pending for it.
        RateLimited: too many mails were sent to the address, or by the inviter.
    """
    policy.require_reach(tx.actor, Action.INVITE)
    policy.require_assignable(tx.actor, role)
    all_problems = list(problems)
    tenant_id = await _tenant_to_invite_to(tx, tenant, all_problems)
    resources = tuple(dict.fromkeys(resources))
    email, name = fields.trim(email), fields.trim(name)
    await delegation.require_full_access(tx, resources, delegation.FULL_LEVEL)
    await _lock_inviter(tx)
    if all_problems := _invite_problems(email, name, all_problems):
        raise Invalid(*all_problems)
    await _ensure_invitable(tx, email, tenant_id)
    invitation = await invitations.insert(
        tx,
        public_id=crypto.generate_public_id(),
        tenant_id=tenant_id,
        email=email,
        name=name,
        role=role,
        resources=resources,
        inviter_id=tx.actor.user_id,
        expires_at=tx.now + LIFETIME,
    )
    await _enqueue_mail(tx, invitation)
    _write_audit(tx, AuditAction.SEND_INVITATION, invitation)
    return invitation


async def _tenant_to_invite_to(tx: Tx, slug: str, problems: list[Problem]) -> int:
    """Return the id of a tenant within reach; 0 after adding a problem if there is no such tenant.

    Raises Forbidden if the actor has no tenant and names none, NotFound if it is out of reach.
    """
    if not slug:
        if tx.actor.tenant_id is None:
            raise Forbidden(Reason.REACH)
        return tx.actor.tenant_id
    found = await tenants.find_by_slug(tx, slug)
    policy.require_tenant(tx.actor, Action.INVITE, found.id if found else 0)
    if found is None or not found.active:
        problems.append(Problem("tenant", "unknown"))
        return 0
    return found.id


async def _lock_inviter(tx: Tx) -> None:
    """Lock the actor's row, so that its deactivation also revokes the invitation being sent.

    Raises NotFound for the system actor: only users send invitations.
    """
    await users.get(tx, tx.actor.user_id)


async def _ensure_invitable(tx: Tx, email: str, tenant_id: int) -> None:
    """Lock an address for a new invitation; raise Taken if it has a user or a pending one.

    A user who only claims the address does not count, nor does an invitation of another tenant.
    A pending invitation whose inviter lost the right to send it is revoked instead.
    """
    email_key = canonical(email)
    await tx.lock(LOCK_INVITATIONS, int.from_bytes(crypto.digest(email_key)[:4], "big"))
    if await login_names.taken(tx, username=email, email=email, takes_over=True):
        raise Taken("email")
    pending = [
        invitation
        for invitation in await invitations.list_pending(tx, email_key, tx.now)
        if invitation.tenant_id == tenant_id
    ]
    if await open_invitations.still_authorised(tx, pending):
        raise Taken("invitation")
    for invitation in pending:
        await invitations.revoke(tx, invitation.id)


def _invite_problems(email: str, name: str, problems: list[Problem]) -> list[Problem]:
    """Return the dialect's problems, and those of fields that it did not report."""
    reported_fields = {problem.field for problem in problems}
    field_problems = [*_email_problems(email), *_name_problems(name)]
    return problems + [p for p in field_problems if p.field not in reported_fields]


def _email_problems(email: str) -> list[Problem]:
    """Return what is wrong with an address that becomes a user's e-mail address and username."""
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
    """Split a display name at its first space into first and last name."""
    first, _, last = name.partition(" ")
    return first, fields.trim(last)


async def _enqueue_mail(tx: Tx, invitation: Invitation) -> None:
    """Enqueue the mail; raises RateLimited if the address, or the inviter, had too many of them."""
    rate = tx.settings.invitation_rate
    if rate.count:
        account, window = f"inviter:{tx.actor.user_id}", rate.seconds * SECOND
        if await guess_limits.increment(tx, account, "", window) >= rate.count:
            _, (window_start, _) = await sign_in_failures.failure_counts(tx, account, "")
            raise RateLimited(guess_limits.retry_after_s(window_start + window - tx.now))
    if retry_after := await mails.reserve(tx, invitation.email):
        raise RateLimited(retry_after)
    await mails.enqueue(
        tx,
        OUTBOX_KIND,
        user_id=None,
        recipient=invitation.email,
        invitation=invitation.public_id,
        generation=invitation.generation,
    )


def _write_audit(tx: Tx, action: AuditAction, invitation: Invitation) -> None:
    audit.write(
        tx,
        action,
        target_kind="invitation",
        target_id=invitation.id,
        tenant_id=invitation.tenant_id,
    )


async def list_page(read: Read, *, limit: int, offset: int) -> Page[InvitationWithStatus]:
    """Return a page of the invitations within reach, newest first; raises Forbidden."""
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
    """Resend a pending invitation with a new secret and expiry; the earlier link becomes void.

    The actor becomes its inviter: it is valid as long as the actor has the right to send it.

    Raises:
        Forbidden: the actor may not invite, or not with this role or these resources.
        NotFound: the invitation is not pending, or out of reach.
        RateLimited: too many mails were sent to the address.
    """
    policy.require_reach(tx.actor, Action.INVITE)
    await _lock_inviter(tx)
    invitation = await _get_pending(tx, public_id)
    policy.require_assignable(tx.actor, invitation.role)
    await delegation.require_full_access(tx, invitation.resources, delegation.FULL_LEVEL)
    renewed = await invitations.renew(tx, invitation, tx.actor.user_id, tx.now + LIFETIME)
    await _enqueue_mail(tx, renewed)
    _write_audit(tx, AuditAction.RESEND_INVITATION, renewed)
    return renewed


async def revoke(tx: Tx, public_id: str) -> None:
    """Revoke a pending invitation; raises Forbidden, or NotFound if none is pending."""
    policy.require_reach(tx.actor, Action.INVITE)
    invitation = await _get_pending(tx, public_id)
    await invitations.revoke(tx, invitation.id)
    _write_audit(tx, AuditAction.REVOKE_INVITATION, invitation)


async def _get_pending(tx: Tx, public_id: str) -> Invitation:
    """Return a pending invitation within the actor's reach, its row locked; raises NotFound."""
    invitation = await open_invitations.find(tx, public_id, for_update=True)
    if invitation is None or not open_invitations.is_open(invitation, tx.now):
        raise NotFound
    policy.require_tenant(tx.actor, Action.INVITE, invitation.tenant_id)
    if not await open_invitations.still_authorised(tx, [invitation]):
        raise NotFound
    return invitation


async def get_open(directory: Directory, visitor: Actor, secret: str) -> OpenInvitation:
    """Return the invitation that a link's secret opens; the link stays valid.

    Raises NotFound if the secret is used, void, revoked, expired, unknown or malformed, or if the
    tenant or the inviter's right is gone; callers cannot distinguish these cases.
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
    """Accept an invitation: create its user, and return the user and a first credential.

    Args:
        directory: the application's shared state.
        visitor: the anonymous caller.
        secret: the secret of the link; it works once.
        password: the password in plain text.
        name: the display name; if empty, the name in the invitation.
        rules: the contract's password rules.
        credential_format: the format of the contract's credentials.
        problems: what the dialect found wrong with the request; reported together with the rest.

    Raises:
        NotFound: the secret opens nothing, as for ``get_open``; checked before anything else.
        Invalid: every problem that was found.
        Taken: with ``email`` if another user got the address meanwhile.
        Unavailable: the hashing queue is full, or the database cannot serve.
    """
    read = directory.read(visitor)
    invitation = (await open_invitations.by_secret(directory, read, secret)).invitation
    new, all_problems = _invited_user(invitation, name, list(problems))
    try:
        prepared = await create_user.prepare(
            directory, visitor, new, password, rules,
            charset=UsernameCharset.PERMISSIVE, problems=all_problems,
        )  # fmt: skip
        async with directory.begin(visitor) as tx:
            user, credential = await _redeem(tx, directory, secret, prepared, credential_format)
    except Invalid as error:
        # A concurrent request with the same link may have won: then the link is used.
        await open_invitations.by_secret(directory, directory.read(visitor), secret)
        raise _acceptance_error(error) from None
    log_sign_in(visitor, user, "invitation")
    return user, credential


def _invited_user(
    invitation: Invitation, name: str, problems: list[Problem]
) -> tuple[NewUser, list[Problem]]:
    """Return the user that an invitation creates, and the problems including those of its name."""
    display_name = fields.trim(name) or invitation.name
    is_name_reported = any(problem.field == "name" for problem in problems)
    name_problems = [] if is_name_reported else _name_problems(display_name)
    if is_name_reported or name_problems:
        display_name = ""  # else it would be reported again, under the fields it is split into
    first_name, last_name = _split_name(display_name)
    new = NewUser(
        username=invitation.email,
        email=invitation.email,
        role=invitation.role,
        tenant_id=invitation.tenant_id,
        first_name=first_name,
        last_name=last_name,
        display_name=display_name,
    )
    return new, problems + name_problems


async def _redeem(
    tx: Tx,
    directory: Directory,
    secret: str,
    prepared: PreparedUser,
    credential_format: CredentialFormat,
) -> tuple[User, Credential]:
    """Insert the invited user with its access, use the link up, and sign the user in."""
    await give_way.take_over(tx, prepared.new.email)  # before the invitation is locked
    opened = await open_invitations.by_secret(directory, tx, secret, for_update=True)
    invitation = opened.invitation
    prepared.new.role = invitation.role
    user = await create_user.insert(tx, prepared, AuditAction.ACCEPT_INVITATION)
    await invitations.accept(tx, invitation.id, user.id)
    granted = [Access(resource, delegation.FULL_LEVEL) for resource in invitation.resources]
    await access_store.upsert(tx, user.id, granted, granted_by=invitation.inviter_id)
    credential = await mint(tx, directory, user, credential_format)
    users.record_sign_in(tx, user.id)
    guess_limits.SignInAttempt(directory, tx.actor, user.username, user).record_success(tx)
    _write_audit(tx, AuditAction.ACCEPT_INVITATION, invitation)
    return user, credential


def _acceptance_error(error: Invalid) -> Invalid | Taken:
    """Return the error without problems of the address, which the caller cannot choose."""
    other_problems = [
        problem for problem in error.problems if problem.field not in {"username", "email"}
    ]
    return Invalid(*other_problems) if other_problems else Taken("email")
