"""Declares ``dragoman tenants …``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import options


@click.group()
def tenants() -> None:
    """Manage tenants, the organisations that users belong to."""


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
@click.argument("slug")
@options.output_option
def show(slug: str, *, output_format: str) -> None:
    """Show a tenant."""
    from dragoman.cli.handlers import tenants

    tenants.show(slug, output_format)
