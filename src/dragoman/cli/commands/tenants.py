"""Declares ``dragoman tenants …``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import completion, options


@click.group()
def tenants() -> None:
    """Manage tenants, the organisations that users belong to."""


slug_argument = click.argument("slug", shell_complete=completion.tenants)
slugs_argument = click.argument(
    "slugs", metavar="SLUG...", nargs=-1, required=True, shell_complete=completion.tenants
)


@tenants.command()
@click.option("--slug", required=True, help="Short name: ASCII letters, digits, - and _.")
@click.option("--name", help="Full name. Default: the slug.")
@click.option("--email", default="", help="Contact e-mail address.")
@click.option("--url", default="", help="Web site.")
@click.option("--description", default="", help="Description.")
@options.output_option
def create(
    *, slug: str, name: str | None, email: str, url: str, description: str, output_format: str
) -> None:
    """Create a tenant and show it."""
    from dragoman.cli.handlers import tenants

    tenants.create(
        output_format, slug=slug, name=name or slug, email=email, url=url, description=description
    )


@tenants.command(name="list")
@options.output_option
def list_tenants(*, output_format: str) -> None:
    """List all tenants, ordered by id."""
    from dragoman.cli.handlers import tenants

    tenants.list_tenants(output_format)


@tenants.command()
@slug_argument
@options.output_option
def show(slug: str, *, output_format: str) -> None:
    """Show a tenant."""
    from dragoman.cli.handlers import tenants

    tenants.show(slug, output_format)


@tenants.command()
@slug_argument
@options.set_option(options.TENANT_FIELDS)
@options.output_option
def update(slug: str, *, first: tuple[str, ...], more: tuple[str, ...], output_format: str) -> None:
    """Change fields of a tenant and show it.

    An empty VALUE empties the field. Changes either all of the fields or none. The slug of the
    default tenant (DRAGOMAN_TENANT) cannot change.
    """
    values = options.assignments(first, more, options.TENANT_FIELDS)
    from dragoman.cli.handlers import tenants

    tenants.update(slug, values, output_format)


@tenants.command()
@slugs_argument
@options.output_option
def deactivate(*, slugs: tuple[str, ...], output_format: str) -> None:
    """Deactivate tenants: their users cannot sign in, and all of their sessions end.

    Each tenant is changed separately. The exit code is 5 if only some could be deactivated.
    """
    from dragoman.cli.handlers import tenants

    tenants.set_active(slugs, output_format, active=False)


@tenants.command()
@slugs_argument
@options.output_option
def activate(*, slugs: tuple[str, ...], output_format: str) -> None:
    """Activate tenants, whose users can sign in again.

    Each tenant is changed separately. The exit code is 5 if only some could be activated.
    """
    from dragoman.cli.handlers import tenants

    tenants.set_active(slugs, output_format, active=True)


@tenants.command()
@slugs_argument
@options.yes_option
def delete(*, slugs: tuple[str, ...], yes: bool) -> None:
    """Delete tenants that have no users; their slugs become free.

    The default tenant (DRAGOMAN_TENANT) cannot be deleted. Asks for confirmation if standard input
    is a terminal. Each tenant is deleted separately. The exit code is 5 if only some could be
    deleted.
    """
    options.confirm(f"Permanently delete {', '.join(slugs)}?", yes=yes)
    from dragoman.cli.handlers import tenants

    tenants.delete(slugs)
