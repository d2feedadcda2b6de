"""`dragoman tenants …`: the organisations in which users stand."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import options


@click.group()
def tenants() -> None:
    """Tenants: create, list, show."""


@tenants.command()
@click.option("--slug", required=True, help="Its short name: ASCII letters, digits, - and _.")
@click.option("--name", help="Its full name; the slug where it is not given.")
@click.option("--email", default="")
@click.option("--url", default="")
@click.option("--description", default="")
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
    """List all tenants, by id."""
    from dragoman.cli.handlers import tenants

    tenants.list_tenants(output_format)


@tenants.command()
@click.argument("slug")
@options.output_option
def show(slug: str, *, output_format: str) -> None:
    """Show one tenant."""
    from dragoman.cli.handlers import tenants

    tenants.show(slug, output_format)
