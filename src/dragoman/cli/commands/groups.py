"""Declares ``dragoman groups …``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import completion, options


@click.group()
def groups() -> None:
    """Manage groups.

    A group gives its permissions to its members, all users of one tenant. GROUP is an id, or a
    name within the tenant given by --tenant. A change takes effect with the members' next request.
    """


group_argument = click.argument("group_ref", metavar="GROUP", shell_complete=completion.groups)
users_argument = click.argument(
    "user_refs", metavar="USER...", nargs=-1, required=True, shell_complete=completion.users
)
codenames_argument = click.argument(
    "codenames",
    metavar="CODENAME...",
    nargs=-1,
    required=True,
    shell_complete=completion.permissions,
)
tenant_option = click.option(
    "--tenant",
    "tenant_slug",
    metavar="SLUG",
    shell_complete=completion.tenants,
    help="The group's tenant. Default: DRAGOMAN_TENANT.",
)


@groups.command(name="list")
@click.option(
    "--tenant",
    "tenant_slug",
    metavar="SLUG",
    shell_complete=completion.tenants,
    help="Only groups of this tenant.",
)
@options.output_option
def list_groups(*, tenant_slug: str | None, output_format: str) -> None:
    """List groups with their permissions and number of members, ordered by id."""
    from dragoman.cli.handlers import groups

    groups.list_groups(output_format, tenant_slug=tenant_slug)


@groups.command()
@group_argument
@tenant_option
@options.output_option
def show(group_ref: str, *, tenant_slug: str | None, output_format: str) -> None:
    """Show a group."""
    from dragoman.cli.handlers import groups

    groups.show(group_ref, output_format, tenant_slug=tenant_slug)


@groups.command()
@group_argument
@tenant_option
@options.output_option
def members(group_ref: str, *, tenant_slug: str | None, output_format: str) -> None:
    """List the members of a group, ordered by username."""
    from dragoman.cli.handlers import groups

    groups.members(group_ref, output_format, tenant_slug=tenant_slug)


@groups.command()
@click.argument("name_argument", metavar="[NAME]", required=False)
@click.option("--name", help="Name, unique within the tenant; NAME as an argument is the same.")
@tenant_option
@click.option(
    "--permission",
    "codenames",
    multiple=True,
    metavar="CODENAME",
    shell_complete=completion.permissions,
    help="A permission of the group; can be repeated.",
)
@options.output_option
def create(
    name_argument: str | None,
    *,
    name: str | None,
    tenant_slug: str | None,
    codenames: tuple[str, ...],
    output_format: str,
) -> None:
    """Create a group and show it."""
    if (name is None) == (name_argument is None):
        raise click.UsageError("give the name of the group once: --name NAME")
    from dragoman.cli.handlers import groups

    groups.create(name or name_argument or "", codenames, output_format, tenant_slug=tenant_slug)


@groups.command()
@group_argument
@tenant_option
@options.yes_option
def delete(group_ref: str, *, tenant_slug: str | None, yes: bool) -> None:
    """Delete a group; its members lose the permissions of the group.

    Asks for confirmation if standard input is a terminal.
    """
    options.confirm(f"Delete group {group_ref}?", yes=yes)
    from dragoman.cli.handlers import groups

    groups.delete(group_ref, tenant_slug=tenant_slug)


@groups.command()
@group_argument
@users_argument
@tenant_option
@options.id_option
def add(
    group_ref: str, user_refs: tuple[str, ...], *, tenant_slug: str | None, is_id: bool
) -> None:
    """Add users to a group of their tenant.

    Each user is changed separately. The exit code is 5 if only some could be added.
    """
    from dragoman.cli.handlers import groups

    groups.add(group_ref, user_refs, tenant_slug=tenant_slug, is_id=is_id)


@groups.command()
@group_argument
@users_argument
@tenant_option
@options.id_option
def remove(
    group_ref: str, user_refs: tuple[str, ...], *, tenant_slug: str | None, is_id: bool
) -> None:
    """Remove users from a group.

    Each user is changed separately. The exit code is 5 if only some could be removed.
    """
    from dragoman.cli.handlers import groups

    groups.remove(group_ref, user_refs, tenant_slug=tenant_slug, is_id=is_id)


@groups.command()
@group_argument
@codenames_argument
@tenant_option
@options.output_option
def permit(
    group_ref: str, codenames: tuple[str, ...], *, tenant_slug: str | None, output_format: str
) -> None:
    """Add permissions to a group and show it.

    Adds either all of the permissions or none.
    """
    from dragoman.cli.handlers import groups

    groups.permit(group_ref, codenames, output_format, tenant_slug=tenant_slug)


@groups.command()
@group_argument
@codenames_argument
@tenant_option
@options.output_option
def forbid(
    group_ref: str, codenames: tuple[str, ...], *, tenant_slug: str | None, output_format: str
) -> None:
    """Remove permissions from a group and show it.

    Removes either all of the permissions or none.
    """
    from dragoman.cli.handlers import groups

    groups.forbid(group_ref, codenames, output_format, tenant_slug=tenant_slug)
