"""``dragoman explain``: show why a user can, or cannot, sign in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from dragoman import app
from dragoman.actions import explain
from dragoman.actions.directory import Directory
from dragoman.actions.explain import (
    ContractExplanation,
    Explanation,
    HeldPermission,
    ReasonCode,
    SignInReason,
)
from dragoman.cli import render
from dragoman.cli.lookup import get_user_id
from dragoman.cli.session import command_line_actor, run
from dragoman.cli.user_output import UserFormatter, UserOut
from dragoman.store.credential_lists import ListedCredential

CONTRACT_COLUMNS = ("contract", "sign_in", "role", "credentials", "because")
CREDENTIAL_COLUMNS = ("contract", "id", "kind", "created_at", "last_used_at", "expires_at")
PERMISSION_COLUMNS = ("codename", "source")

MESSAGES: Mapping[ReasonCode, str | Callable[[SignInReason], str]] = {
    ReasonCode.CONTRACT_OFF: "this contract is not served (DRAGOMAN_CONTRACTS)",
    ReasonCode.DELETED: "the user is deleted",
    ReasonCode.INACTIVE: "the user is inactive",
    ReasonCode.TENANT_INACTIVE: "the tenant is inactive",
    ReasonCode.NOT_APPROVED: "nobody has approved the user, and this contract has no sign-up",
    ReasonCode.NOT_PROVEN: "the e-mail address must be proven first (DRAGOMAN_VERIFY_EMAIL)",
    ReasonCode.NO_EMAIL: "this contract knows users by e-mail address, and the user has none",
    ReasonCode.NO_PASSWORD: "the user has no password",
    ReasonCode.PASSWORD_TOO_SHORT: lambda reason: (
        f"the password is shorter than the {reason.minimum} characters that this contract requires"
        if reason.certain
        else f"this contract requires {reason.minimum} characters, and the length of the password "
        "is not known before its first use here"
    ),
    ReasonCode.LOCKED: lambda reason: (
        "too many sign-ins have failed"
        if reason.certain
        else "too many sign-ins have failed; some client addresses may still sign in"
    ),
}


class ReasonOut(msgspec.Struct, frozen=True):
    """A reason against a sign-in; times in ISO 8601, UTC."""

    code: str
    message: str
    since: str | None
    until: str | None
    by: str | None


class CredentialOut(msgspec.Struct, frozen=True):
    """A valid credential, without its secret."""

    contract: str
    id: int
    kind: str
    created_at: str | None
    last_used_at: str | None
    expires_at: str | None


class ContractOut(msgspec.Struct, frozen=True):
    """Whether the user can sign in at a contract; null: it depends on what ``because`` says."""

    contract: str
    can_sign_in: bool | None
    because: list[ReasonOut]
    role: str | None
    credentials: list[CredentialOut]


class PermissionOut(msgspec.Struct, frozen=True):
    """A permission and one source of it."""

    codename: str
    source: str = msgspec.field(name="from")
    granted_by: int | None
    granted_at: str | None


class ExplanationOut(msgspec.Struct, frozen=True):
    """An explanation; times in ISO 8601, UTC."""

    user: UserOut
    active: bool
    deleted_at: str | None
    contracts: list[ContractOut]
    permissions: list[PermissionOut]


class _ContractRow(msgspec.Struct, frozen=True):
    contract: str
    sign_in: str
    role: str | None
    credentials: int
    because: str


def show(user_ref: str, output_format: str) -> None:
    """Show an explanation.

    Args:
        user_ref: a username, an e-mail address, an id or a public id; of deleted users, an id.
        output_format: one of ``options.OUTPUT_FORMATS``.
    """
    contracts = app.explained_contracts(app.load_settings())

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        user_id = await get_user_id(read, user_ref)
        found = await explain.explain(directory, read, user_id, contracts)
        shown_user = await UserFormatter(read).user_out(found.user)
        shown = _explanation_out(found, shown_user)
        if output_format == "table":
            _show_tables(shown)
        elif output_format == "csv":
            _show_contracts(shown, "csv")
        else:
            render.show_record(shown, output_format)

    run(work)


def _explanation_out(found: Explanation, user: UserOut) -> ExplanationOut:
    return ExplanationOut(
        user=user,
        active=found.user.active and not found.deleted_at,
        deleted_at=render.timestamp(found.deleted_at),
        contracts=[_contract_out(each) for each in found.contracts],
        permissions=[_permission_out(each, user.role) for each in found.permissions],
    )


def _contract_out(found: ContractExplanation) -> ContractOut:
    return ContractOut(
        contract=found.contract,
        can_sign_in=found.can_sign_in,
        because=[_reason_out(reason) for reason in found.because],
        role=found.role,
        credentials=[_credential_out(each) for each in found.credentials],
    )


def _reason_out(reason: SignInReason) -> ReasonOut:
    message = MESSAGES[reason.code]
    return ReasonOut(
        code=reason.code.value,
        message=message if isinstance(message, str) else message(reason),
        since=render.timestamp(reason.since),
        until=render.timestamp(reason.until),
        by=reason.by or None,
    )


def _credential_out(found: ListedCredential) -> CredentialOut:
    token = found.token
    return CredentialOut(
        contract=token.contract,
        id=token.id,
        kind=token.kind,
        created_at=render.timestamp(token.created_at),
        last_used_at=render.timestamp(token.last_used_at),
        expires_at=render.timestamp(min(token.expires_at, found.idle_until)),
    )


def _permission_out(held: HeldPermission, role: str) -> PermissionOut:
    granter = held.granter or (f"user {held.granted_by}" if held.granted_by else "command line")
    sources = {
        "role": f"role {role}",
        "group": f"group {held.group}",
        "grant": f"granted by {granter}",
    }
    return PermissionOut(
        codename=held.codename,
        source=sources[held.source],
        granted_by=held.granted_by or None,
        granted_at=render.timestamp(held.granted_at),
    )


def _show_tables(shown: ExplanationOut) -> None:
    user = shown.user
    state = f"deleted since {shown.deleted_at}" if shown.deleted_at else "active"
    if not shown.active and not shown.deleted_at:
        state = "inactive"
    name = user.username or f"user {user.id}"
    render.show_text(f"{name}: {user.role} of {user.tenant or 'no tenant'}, {state}\n")
    _show_contracts(shown, "table")
    credentials = [each for contract in shown.contracts for each in contract.credentials]
    if credentials:
        render.show_text("")
        writer = render.ListWriter("table", CREDENTIAL_COLUMNS, CredentialOut)
        writer.add(credentials)
        writer.close()
    if shown.permissions:
        render.show_text("")
        writer = render.ListWriter("table", PERMISSION_COLUMNS, PermissionOut)
        writer.add(shown.permissions)
        writer.close()


def _show_contracts(shown: ExplanationOut, output_format: str) -> None:
    writer = render.ListWriter(output_format, CONTRACT_COLUMNS, _ContractRow)
    writer.add([_contract_row(each) for each in shown.contracts])
    writer.close()


def _contract_row(found: ContractOut) -> _ContractRow:
    answers = {True: "yes", False: "no", None: "depends"}
    because = [
        f"{reason.code}: {reason.message}"
        + (f", since {reason.since}" if reason.since else "")
        + (f" by {reason.by}" if reason.by else "")
        + (f", until {reason.until}" if reason.until else "")
        for reason in found.because
    ]
    return _ContractRow(
        contract=found.contract,
        sign_in=answers[found.can_sign_in],
        role=found.role,
        credentials=len(found.credentials),
        because="; ".join(because),
    )
