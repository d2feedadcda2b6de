"""`dragoman groups …`: permissions under one name, for several users of a tenant."""

from __future__ import annotations

import sys

import rich_click as click

from dragoman.cli import options


@click.group()
def groups() -> None:
    """Groups: permissions of a tenant under one name; their members hold them all.

    GROUP is an id, or a name within the tenant that --tenant names. A change holds from the
    members' next request.
    """


group_argument = click.argument("group")
users_argument = click.argument("names", metavar="USER...", nargs=-1, required=True)
codenames_argument = click.argument("codenames", metavar="CODENAME...", nargs=-1, required=True)
tenant_option = click.option(
    "--tenant", metavar="SLUG", help="The group's tenant; DRAGOMAN_TENANT where it is not given."
)


@groups.command(name="list")
@click.option("--tenant", metavar="SLUG", help="Only groups of this tenant.")
@options.output_option
def list_groups(*, tenant: str | None, output_format: str) -> None:
    """List groups, by id, with what they hold and how many members they have."""
    from dragoman.cli.handlers import groups

    groups.list_groups(output_format, tenant_slug=tenant)


@groups.command()
@click.argument("name")
@tenant_option
@click.option(
    "--permission",
    "codenames",
    multiple=True,
    metavar="CODENAME",
    help="What it holds; may be repeated.",
)
@options.output_option
def create(
    name: str, *, tenant: str | None, codenames: tuple[str, ...], output_format: str
) -> None:
    """Create a group and show it."""
    from dragoman.cli.handlers import groups

    groups.create(name, codenames, output_format, tenant_slug=tenant)


@groups.command()
@group_argument
@tenant_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask (only a terminal is asked).")
def delete(group: str, *, tenant: str | None, yes: bool) -> None:
    """Delete a group: its members lose what it held."""
    if not yes and sys.stdin.isatty():
        click.confirm(f"Delete the group {group}?", abort=True, err=True)
    from dragoman.cli.handlers import groups

    groups.delete(group, tenant_slug=tenant)


@groups.command()
@group_argument
@users_argument
@tenant_option
@options.id_option
def add(group: str, names: tuple[str, ...], *, tenant: str | None, is_id: bool) -> None:
    """Put users of the group's tenant into a group.

    Each is a change of its own: exit code 5 says that some could not be put in.
    """
    from dragoman.cli.handlers import groups

    groups.add(group, names, tenant_slug=tenant, is_id=is_id)


@groups.command()
@group_argument
@users_argument
@tenant_option
@options.id_option
def remove(group: str, names: tuple[str, ...], *, tenant: str | None, is_id: bool) -> None:
    """Take users out of a group.

    Each is a change of its own: exit code 5 says that some could not be taken out.
    """
    from dragoman.cli.handlers import groups

    groups.remove(group, names, tenant_slug=tenant, is_id=is_id)


@groups.command()
@group_argument
@codenames_argument
@tenant_option
@options.output_option
def permit(
    group: str, codenames: tuple[str, ...], *, tenant: str | None, output_format: str
) -> None:
    """Let a group hold permissions, all or none, and show it."""
    from dragoman.cli.handlers import groups

    groups.permit(group, codenames, output_format, tenant_slug=tenant)


@groups.command()
@group_argument
@codenames_argument
@tenant_option
@options.output_option
def forbid(
    group: str, codenames: tuple[str, ...], *, tenant: str | None, output_format: str
) -> None:
    """Take permissions from a group, all or none, and show it."""
    from dragoman.cli.handlers import groups

    groups.forbid(group, codenames, output_format, tenant_slug=tenant)
