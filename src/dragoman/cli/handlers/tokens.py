"""``dragoman tokens …``: create, list and revoke credentials."""

from __future__ import annotations

import sys

import msgspec

from dragoman import app
from dragoman.actions import tokens
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.batch import change_each
from dragoman.cli.errors import ERROR, NOT_FOUND, USAGE, CliError, echo
from dragoman.cli.lookup import get_user
from dragoman.cli.session import command_line_actor, has_key, run
from dragoman.rules import policy
from dragoman.rules.errors import NotFound
from dragoman.store.credential_lists import ListedCredential

PAGE_SIZE = 1000
"""Maximum number of credentials per query of a list."""
COLUMNS = ("id", "username", "contract", "kind", "live", "last_used_at", "expires_at")


class NewTokenOut(msgspec.Struct, frozen=True):
    """A new credential; the only output that contains its secret."""

    contract: str
    user_id: int
    username: str
    credential: str


class TokenOut(msgspec.Struct, frozen=True):
    """A credential as shown in output, without its secret."""

    id: int
    user_id: int
    username: str
    contract: str
    kind: str
    live: bool
    created_at: str | None
    last_used_at: str | None
    expires_at: str | None


def create(user_ref: str, contract: str, output_format: str, *, is_id: bool) -> None:
    """Create a credential and show it.

    Args:
        user_ref: a username, an e-mail address or an id.
        contract: the contract at which the credential is valid.
        output_format: one of ``options.OUTPUT_FORMATS``.
        is_id: whether ``user_ref`` is an id, even if it is also a username.

    Raises:
        CliError: the contract is not enabled, its credentials are signed and the server key is not
            available, or the user is not approved and the contract knows approved users only.
    """
    contracts = app.enabled_contracts(app.load_settings())
    if contract not in contracts:
        raise CliError(
            USAGE, f"contract {contract!r} is not enabled (enabled: {', '.join(contracts)})"
        )
    credential_format = app.credential_format(contract)
    if credential_format.claims is not None and not has_key(app.load_settings()):
        raise CliError(ERROR, "server key not found: set DRAGOMAN_SECRET_KEY")

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        user = await get_user(directory.read(actor), user_ref, is_id=is_id)
        actor = msgspec.structs.replace(actor, restrictions=app.restrictions(contract))
        if not policy.exists_for(actor, approved=user.approved):
            raise CliError(
                ERROR,
                f"user {user.username} is not approved, so contract {contract!r} does not know it "
                f"(run 'dragoman users approve {user.username}')",
            )
        async with directory.begin(actor) as tx:
            secret = (await tokens.issue(tx, directory, user.id, credential_format)).secret
        if output_format == "table":
            render.show_text(secret)
            echo(
                [f"Created a {contract} credential for user {user.username}; it is not shown again"]
            )
        else:
            render.show_record(NewTokenOut(contract, user.id, user.username, secret), output_format)

    run(work)


def list_tokens(
    output_format: str,
    *,
    user_ref: str | None,
    live_only: bool,
    limit: int | None,
    is_id: bool,
) -> None:
    """Show credentials, newest first.

    Args:
        output_format: one of ``options.OUTPUT_FORMATS``.
        user_ref: only those of this user.
        live_only: only those that are valid now.
        limit: the maximum number of credentials; None for all.
        is_id: whether ``user_ref`` is an id, even if it is also a username.
    """

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        user = None if user_ref is None else await get_user(read, user_ref, is_id=is_id)
        writer = render.ListWriter(output_format, COLUMNS, TokenOut)
        before, remaining = None, sys.maxsize if limit is None else limit
        while remaining:
            size = min(PAGE_SIZE, remaining)
            page = await tokens.list_page(
                read, user, live_only=live_only, before=before, limit=size
            )
            if page:
                writer.add([_token_out(each) for each in page])
                before = page[-1].token.id
            remaining -= len(page)
            if len(page) < size:
                break
        writer.close()

    run(work)


def _token_out(listed: ListedCredential) -> TokenOut:
    token = listed.token
    return TokenOut(
        id=token.id,
        user_id=token.user_id,
        username=listed.username,
        contract=token.contract,
        kind=token.kind,
        live=listed.live,
        created_at=render.timestamp(token.created_at),
        last_used_at=render.timestamp(token.last_used_at),
        expires_at=render.timestamp(min(listed.idle_until, token.expires_at)),
    )


def revoke(token_ids: tuple[int, ...]) -> None:
    """Revoke credentials, each separately."""

    async def work(directory: Directory) -> None:
        async def revoke_one(token_id: str) -> None:
            try:
                async with directory.begin(command_line_actor()) as tx:
                    user = await tokens.revoke_by_id(tx, int(token_id))
            except NotFound:
                raise CliError(NOT_FOUND, f"credential {token_id} not found") from None
            echo([f"Revoked credential {token_id} of user {user.username}"])

        _, error = await change_each([str(token_id) for token_id in token_ids], revoke_one)
        if error is not None:
            raise error

    run(work)
