"""`dragoman keys …`: the keys that sign JWTs."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import options


@click.group()
def keys() -> None:
    """Keys that sign JWTs; /.well-known/jwks.json publishes what verifies them."""


@keys.command()
@options.output_option
def rotate(*, output_format: str) -> None:
    """Let a new key sign from now on and print its kid.

    JWTs that the earlier key signed work on; it is published for two hours more.
    """
    from dragoman.cli.handlers import keys

    keys.rotate(output_format)


@keys.command(name="list")
@options.output_option
def list_keys(*, output_format: str) -> None:
    """List the keys that are published, the newest first."""
    from dragoman.cli.handlers import keys

    keys.list_keys(output_format)
