"""`dragoman permissions …`: the catalogue, and what users are granted of it."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import options


@click.group()
def permissions() -> None:
    """Permissions: list the catalogue; show, grant and revoke what users hold of it.

    USER is a username, an e-mail address or an id. A change holds from the user's next request.
    """


codenames_argument = click.argument("codenames", metavar="CODENAME...", nargs=-1, required=True)


@permissions.command(name="list")
@options.output_option
def list_permissions(*, output_format: str) -> None:
    """List every permission that there is."""
    from dragoman.cli.handlers import permissions

    permissions.list_permissions(output_format)


@permissions.command()
@click.argument("user")
@options.id_option
@options.output_option
def show(user: str, *, is_id: bool, output_format: str) -> None:
    """Show what a user was granted itself, not what its role or a group brings."""
    from dragoman.cli.handlers import permissions

    permissions.show(user, output_format, is_id=is_id)


@permissions.command()
@click.argument("user")
@codenames_argument
@options.id_option
@options.output_option
def grant(user: str, codenames: tuple[str, ...], *, is_id: bool, output_format: str) -> None:
    """Grant permissions to a user, all or none; show what it was granted in all."""
    from dragoman.cli.handlers import permissions

    permissions.grant(user, codenames, output_format, is_id=is_id)


@permissions.command()
@click.argument("user")
@codenames_argument
@options.id_option
@options.output_option
def revoke(user: str, codenames: tuple[str, ...], *, is_id: bool, output_format: str) -> None:
    """Take granted permissions back, all or none; show what is left."""
    from dragoman.cli.handlers import permissions

    permissions.revoke(user, codenames, output_format, is_id=is_id)
