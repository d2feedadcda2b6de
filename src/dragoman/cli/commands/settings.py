"""``dragoman settings``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import options


@click.group()
def settings() -> None:
    """Look at the settings."""


@settings.command()
@options.output_option
def show(*, output_format: str) -> None:
    """Show every setting with the value that is in effect, and where it comes from.

    The source is "default", "environment", the variable that names a secret's file, or the TOML
    file. Secrets are hidden, and so are passwords in addresses.
    """
    from dragoman.cli.handlers import settings as handler

    handler.show(output_format)
