"""`dragoman users …`: people, by username, e-mail address or id."""

from __future__ import annotations

import sys
from typing import Any

import rich_click as click

from dragoman.cli import options


@click.group()
def users() -> None:
    """People: create, list, show, switch on and off, passwords, roles, delete.

    USER is a username, an e-mail address or an id.
    """


@users.command()
@click.option("--username", required=True)
@click.option("--email", required=True)
@click.option("--role", required=True, type=click.Choice(options.ROLE_NAMES))
@click.option(
    "--tenant",
    metavar="SLUG",
    help="The tenant; owner, member and viewer stand in DRAGOMAN_TENANT where it is not given.",
)
@click.option("--first-name", default="")
@click.option("--last-name", default="")
@click.option("--inactive", is_flag=True, help="Create the user switched off.")
@options.password_stdin_option
@options.output_option
def create(*, from_stdin: bool, output_format: str, **fields: Any) -> None:
    """Create a user and show it.

    DRAGOMAN_PASSWORD_POLICY says what the password must be.
    """
    password = options.read_password(from_stdin=from_stdin)
    from dragoman.cli.handlers import users

    users.create(password, output_format, **fields)


@users.command(name="list")
@click.option("--tenant", metavar="SLUG", help="Only users of this tenant.")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice(options.ROLE_NAMES), help="May be repeated."
)
@click.option("--active/--inactive", default=None, help="Only those switched on, or off.")
@click.option(
    "--search", default="", metavar="WORDS", help="Every word occurs in a name or e-mail."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="N users at most.")
@options.output_option
def list_users(*, output_format: str, **filters: Any) -> None:
    """List users, by id; all of them unless told otherwise."""
    from dragoman.cli.handlers import users

    users.list_users(output_format, **filters)


@users.command()
@click.argument("user")
@options.id_option
@options.output_option
def show(user: str, *, is_id: bool, output_format: str) -> None:
    """Show one user."""
    from dragoman.cli.handlers import users

    users.show(user, output_format, is_id=is_id)


users_argument = click.argument("names", metavar="USER...", nargs=-1, required=True)


@users.command()
@users_argument
@options.id_option
@options.output_option
def deactivate(names: tuple[str, ...], *, is_id: bool, output_format: str) -> None:
    """Switch users off; every session of theirs ends, at every contract.

    Each is a change of its own: exit code 5 says that some could not be switched off.
    """
    from dragoman.cli.handlers import users

    users.set_active(names, output_format, active=False, is_id=is_id)


@users.command()
@users_argument
@options.id_option
@options.output_option
def activate(names: tuple[str, ...], *, is_id: bool, output_format: str) -> None:
    """Switch users on again.

    Each is a change of its own: exit code 5 says that some could not be switched on.
    """
    from dragoman.cli.handlers import users

    users.set_active(names, output_format, active=True, is_id=is_id)


@users.command()
@users_argument
@options.id_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask (only a terminal is asked).")
def delete(names: tuple[str, ...], *, is_id: bool, yes: bool) -> None:
    """Delete users: their names are free again, their personal data is erased.

    Each is a change of its own: exit code 5 says that some could not be deleted.
    """
    if not yes and sys.stdin.isatty():
        click.confirm(f"Delete {', '.join(names)} for good?", abort=True, err=True)
    from dragoman.cli.handlers import users

    users.delete(names, is_id=is_id)


@users.command(name="set-password")
@click.argument("user")
@options.id_option
@options.password_stdin_option
def set_password(user: str, *, is_id: bool, from_stdin: bool) -> None:
    """Set a user's password; every session of the user ends."""
    password = options.read_password(from_stdin=from_stdin)
    from dragoman.cli.handlers import users

    users.set_password(user, password, is_id=is_id)


@users.command(name="set-role")
@click.argument("user")
@click.argument("role", metavar="ROLE", type=click.Choice(options.ROLE_NAMES))
@options.id_option
@options.output_option
def set_role(user: str, role: str, *, is_id: bool, output_format: str) -> None:
    """Give a user another role, in the same tenant; every session of the user ends.

    ROLE is superadmin, admin, owner, member or viewer.
    """
    from dragoman.cli.handlers import users

    users.set_role(user, role, output_format, is_id=is_id)
