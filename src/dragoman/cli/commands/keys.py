"""Declares ``dragoman keys …``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import options


@click.group()
def keys() -> None:
    """Manage the keys that sign JWTs.

    The public keys are published at /.well-known/jwks.json.
    """


@keys.command()
@options.output_option
def rotate(*, output_format: str) -> None:
    """Create a new signing key and print its kid.

    The previous key stays published for two hours, so that JWTs signed with it remain valid.
    """
    from dragoman.cli.handlers import keys

    keys.rotate(output_format)


@keys.command(name="list")
@options.output_option
def list_keys(*, output_format: str) -> None:
    """List the published keys, newest first."""
    from dragoman.cli.handlers import keys

    keys.list_keys(output_format)
