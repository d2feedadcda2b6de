"""Declares ``dragoman tokens …``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import completion, options


@click.group()
def tokens() -> None:
    """Manage credentials: sessions of people, and tokens for programs.

    A credential is valid at one contract only. ID is the number that 'dragoman tokens list' shows.
    """


@tokens.command()
@click.option(
    "--user",
    "user_ref",
    required=True,
    metavar="USER",
    shell_complete=completion.users,
    help="Username, e-mail address or id.",
)
@click.option(
    "--contract",
    required=True,
    metavar="NAME",
    shell_complete=completion.contracts,
    help="Contract to use it with.",
)
@options.id_option
@options.output_option
def create(*, user_ref: str, contract: str, is_id: bool, output_format: str) -> None:
    """Create a credential for a user and print it.

    The credential is valid for one contract only and cannot be shown again.
    """
    from dragoman.cli.handlers import tokens

    tokens.create(user_ref, contract, output_format, is_id=is_id)


@tokens.command(name="list")
@click.option(
    "--user",
    "user_ref",
    metavar="USER",
    shell_complete=completion.users,
    help="Only credentials of this user.",
)
@click.option("--all", "show_all", is_flag=True, help="Also those that are no longer valid.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Maximum number of credentials."
)
@options.id_option
@options.output_option
def list_tokens(
    *, user_ref: str | None, show_all: bool, limit: int | None, is_id: bool, output_format: str
) -> None:
    """List credentials that are valid now, newest first; never the secrets."""
    from dragoman.cli.handlers import tokens

    tokens.list_tokens(
        output_format, user_ref=user_ref, live_only=not show_all, limit=limit, is_id=is_id
    )


@tokens.command()
@click.argument("token_ids", metavar="ID...", nargs=-1, required=True, type=options.ID)
def revoke(*, token_ids: tuple[int, ...]) -> None:
    """Revoke credentials, with everything that was refreshed from the same sign-in.

    Each is revoked separately. The exit code is 5 if only some could be revoked.
    """
    from dragoman.cli.handlers import tokens

    tokens.revoke(token_ids)
