"""Declares ``dragoman permissions …``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import completion, options


@click.group()
def permissions() -> None:
    """Manage the permissions of users.

    USER is a username, an e-mail address or an id. A change takes effect with the user's next
    request.
    """


user_argument = click.argument("user_ref", metavar="USER", shell_complete=completion.users)
codenames_argument = click.argument(
    "codenames",
    metavar="CODENAME...",
    nargs=-1,
    required=True,
    shell_complete=completion.permissions,
)


@permissions.command(name="list")
@options.output_option
def list_permissions(*, output_format: str) -> None:
    """List all permissions."""
    from dragoman.cli.handlers import permissions

    permissions.list_permissions(output_format)


@permissions.command()
@user_argument
@options.id_option
@options.output_option
def show(user_ref: str, *, is_id: bool, output_format: str) -> None:
    """Show the permissions granted directly to a user, without those of its role and groups."""
    from dragoman.cli.handlers import permissions

    permissions.show(user_ref, output_format, is_id=is_id)


@permissions.command()
@user_argument
@codenames_argument
@options.id_option
@options.output_option
def grant(user_ref: str, codenames: tuple[str, ...], *, is_id: bool, output_format: str) -> None:
    """Grant permissions to a user and show all that are granted directly.

    Grants either all of the permissions or none.
    """
    from dragoman.cli.handlers import permissions

    permissions.grant(user_ref, codenames, output_format, is_id=is_id)


@permissions.command()
@user_argument
@codenames_argument
@options.id_option
@options.output_option
def revoke(user_ref: str, codenames: tuple[str, ...], *, is_id: bool, output_format: str) -> None:
    """Revoke permissions granted directly to a user and show the remaining ones.

    Revokes either all of the permissions or none.
    """
    from dragoman.cli.handlers import permissions

    permissions.revoke(user_ref, codenames, output_format, is_id=is_id)
