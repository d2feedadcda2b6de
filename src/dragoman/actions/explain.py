"""Explanations: can a person sign in, where not and since when, and which rights it has."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.history import in_words
from dragoman.actions.steps import guess_limits
from dragoman.actions.steps.guess_limits import Lockout
from dragoman.rules import passwords, policy
from dragoman.rules.credentials import SignInRequirements
from dragoman.rules.errors import NotFound
from dragoman.rules.model import DAY, User
from dragoman.rules.vocabulary import Action, Restrictions
from dragoman.store import (
    credential_lists,
    erasures,
    grants,
    history,
    sign_in_facts,
    sign_in_failures,
    users,
)
from dragoman.store.credential_lists import ListedCredential
from dragoman.store.transaction import Read


class ExplainedContract(msgspec.Struct, frozen=True, kw_only=True):
    """What an explanation has to know of a contract; its dialect declares it.

    Attributes:
        name: the contract's name.
        served: whether this directory serves it.
        restrictions: how it limits the policy.
        sign_in: what its sign-in requires, and its words for roles.
    """

    name: str
    served: bool
    restrictions: Restrictions
    sign_in: SignInRequirements


class ReasonCode(StrEnum):
    """Why a sign-in is refused."""

    CONTRACT_OFF = "contract_off"
    DELETED = "deleted"
    INACTIVE = "inactive"
    TENANT_INACTIVE = "tenant_inactive"
    NOT_APPROVED = "not_approved"
    NOT_PROVEN = "not_proven"
    NO_EMAIL = "no_email"
    NO_PASSWORD = "no_password"
    PASSWORD_TOO_SHORT = "password_too_short"
    LOCKED = "locked"


class SignInReason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason for which a sign-in is refused.

    Attributes:
        code: the reason.
        since: since when (microseconds); 0 if the history does not tell.
        until: when it ends by itself (microseconds); 0 if it does not.
        by: who brought it about, as the history names it; empty if that is not known.
        certain: False if it depends on the client's address, or on a password of unknown length.
        minimum: the number of characters that are required, where that is the reason.
    """

    code: ReasonCode
    since: int = 0
    until: int = 0
    by: str = ""
    certain: bool = True
    minimum: int = 0


class ContractExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a person can sign in at a contract.

    Attributes:
        contract: the contract's name.
        can_sign_in: whether the right password opens it; None if that depends on what ``because``
            says.
        because: all reasons against it.
        role: what the contract calls the role; None if it has no word for it.
        credentials: those that it accepts now, newest first.
    """

    contract: str
    can_sign_in: bool | None
    because: tuple[SignInReason, ...]
    role: str | None
    credentials: tuple[ListedCredential, ...]


class HeldPermission(msgspec.Struct, frozen=True, kw_only=True):
    """A permission and one source of it.

    Attributes:
        codename: the permission.
        source: ``role``, ``group`` or ``grant``.
        group: the name of the group, if it comes from one.
        granted_by: the id of the user who granted it, if it was granted; 0: the command line.
        granter: that user's username; None if it is gone.
        granted_at: when it was granted (microseconds); 0 if it was not granted.
    """

    codename: str
    source: str
    group: str = ""
    granted_by: int = 0
    granter: str | None = None
    granted_at: int = 0


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a person's ways in; ``deleted_at`` is 0 if it is not deleted."""

    user: User
    deleted_at: int
    contracts: tuple[ContractExplanation, ...]
    permissions: tuple[HeldPermission, ...]


async def explain(
    directory: Directory, read: Read, user_id: int, contracts: Sequence[ExplainedContract]
) -> Explanation:
    """Explain at which contracts a person can sign in, and which rights it has.

    Args:
        directory: the application's shared state.
        read: a reader that acts for the caller.
        user_id: the person; it may be deleted.
        contracts: the contracts, with what their dialects declare.

    Raises:
        Forbidden, NotFound: the policy refuses.
    """
    policy.require_reach(read.actor, Action.VIEW_HISTORY, user_id)
    found = await erasures.find_any(read, user_id)
    if found is None:
        raise NotFound
    user = found.user
    policy.require(read.actor, Action.VIEW_HISTORY, user)
    policy.require(read.actor, Action.VIEW_PERMISSIONS, user)
    reasons = _Reasons(directory, read, user)
    await reasons.find(found.deleted_at)
    live = await credential_lists.page(read, user_id=user.id, live_only=True)
    return Explanation(
        user=user,
        deleted_at=found.deleted_at,
        contracts=tuple(_explained(each, user, reasons, live) for each in contracts),
        permissions=() if found.deleted_at else await _held_permissions(read, user),
    )


def _explained(
    contract: ExplainedContract,
    user: User,
    reasons: _Reasons,
    live: Sequence[ListedCredential],
) -> ContractExplanation:
    because = reasons.at(contract)
    is_refused = any(reason.certain for reason in because)
    return ContractExplanation(
        contract=contract.name,
        can_sign_in=False if is_refused else None if because else True,
        because=because,
        role=contract.sign_in.role_names.get(user.role),
        credentials=tuple(each for each in live if each.token.contract == contract.name),
    )


class _Reasons:
    """Every reason that may count somewhere; ``at`` keeps those of one contract."""

    def __init__(self, directory: Directory, read: Read, user: User) -> None:
        self._directory = directory
        self._read = read
        self._user = user
        self._password_reaches: int | None = None
        self._found: dict[ReasonCode, SignInReason] = {}

    def at(self, contract: ExplainedContract) -> tuple[SignInReason, ...]:
        """Return the reasons that count at a contract, in the order of ``ReasonCode``."""
        counting = dict(self._found)
        if not contract.served:
            counting[ReasonCode.CONTRACT_OFF] = SignInReason(code=ReasonCode.CONTRACT_OFF)
        if not contract.restrictions.approved_only:
            counting.pop(ReasonCode.NOT_APPROVED, None)
        if not contract.sign_in.by_email:
            counting.pop(ReasonCode.NO_EMAIL, None)
        length = counting.pop(ReasonCode.PASSWORD_TOO_SHORT, None)
        minimum = contract.sign_in.min_password_length
        is_long_enough = passwords.reaches_length(self._password_reaches, minimum)
        if length is not None and is_long_enough is not True:
            counting[length.code] = msgspec.structs.replace(
                length, certain=is_long_enough is False, minimum=minimum
            )
        return tuple(counting[code] for code in ReasonCode if code in counting)

    async def find(self, deleted_at: int) -> None:
        """Find the reasons; ``deleted_at`` is 0 for a user who is not deleted."""
        if deleted_at:
            self._add(SignInReason(code=ReasonCode.DELETED, since=deleted_at))
            return
        user, facts = self._user, await sign_in_facts.get(self._read, self._user)
        if not user.active:
            await self._add_changed(ReasonCode.INACTIVE, "user", user.id, "active")
        if not facts.tenant_active and user.tenant_id is not None:
            await self._add_changed(ReasonCode.TENANT_INACTIVE, "tenant", user.tenant_id, "active")
        if not user.approved:
            self._add(SignInReason(code=ReasonCode.NOT_APPROVED, since=user.created_at))
        if self._lacks_proof():
            await self._add_changed(ReasonCode.NOT_PROVEN, "user", user.id, "email")
        if not facts.holds_address:
            await self._add_changed(ReasonCode.NO_EMAIL, "user", user.id, "email")
        code = ReasonCode.PASSWORD_TOO_SHORT if facts.has_password else ReasonCode.NO_PASSWORD
        await self._add_changed(code, "user", user.id, "password")
        self._password_reaches = facts.password_reaches
        await self._add_lockouts()

    def _add(self, reason: SignInReason) -> None:
        self._found[reason.code] = reason

    async def _add_changed(
        self, code: ReasonCode, target_kind: str, target_id: int, field: str
    ) -> None:
        """Add a reason that began with the last change of a field, or with the user itself."""
        change = await history.last_change(self._read, target_kind, target_id, field)
        if change is not None:
            actor = in_words(change).actor
            self._add(SignInReason(code=code, since=change.entry.at, by=actor))
            return
        days = self._directory.settings.audit_days
        is_kept = not days or self._user.created_at > self._read.now - days * DAY
        since = self._user.created_at if is_kept and target_kind == "user" else 0
        self._add(SignInReason(code=code, since=since))

    def _lacks_proof(self) -> bool:
        user = self._user
        is_unproven = user.signed_up and bool(user.email) and not user.holds_email
        return is_unproven and self._directory.settings.verify_email == "required"

    async def _add_lockouts(self) -> None:
        lockouts = await guess_limits.lockouts(self._read, self._user)
        if not lockouts:
            return
        everywhere = [each for each in lockouts if each.every_address]
        shown: Lockout = max(everywhere or lockouts, key=lambda each: each.until)
        is_certain = bool(everywhere) and not await sign_in_failures.has_known_addresses(
            self._read, self._user.id
        )
        self._add(
            SignInReason(
                code=ReasonCode.LOCKED, since=shown.since, until=shown.until, certain=is_certain
            )
        )


async def _held_permissions(read: Read, user: User) -> tuple[HeldPermission, ...]:
    """Return the permissions of a user's role, those of its groups and those granted to it."""
    held: list[HeldPermission] = []
    if user.role <= policy.LOWEST_ROLE_WITH_ALL_PERMISSIONS:
        held += [
            HeldPermission(codename=codename, source="role")
            for _, codename, _, _ in policy.PERMISSION_CATALOGUE
        ]
    granters: dict[int, str | None] = {0: None}
    for source in await grants.list_sources(read, user.id):
        if source.granted_by not in granters:
            granter = await users.find(read, source.granted_by)
            granters[source.granted_by] = granter.username if granter else None
        held.append(
            HeldPermission(
                codename=source.codename,
                source="group" if source.group_id else "grant",
                group=source.group_name,
                granted_by=source.granted_by,
                granter=granters[source.granted_by],
                granted_at=source.granted_at,
            )
        )
    return tuple(held)
