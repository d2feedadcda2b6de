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
@click.option(
    "--now", "at_once", is_flag=True, help="Sign with it at once and withdraw all others (a leak)."
)
@options.output_option
def rotate(*, at_once: bool, output_format: str) -> None:
    """Create a new signing key and print its kid.

    It is published first and signs five minutes later, when every verifier has fetched it. The
    previous key stays published for two hours after that, so that JWTs signed with it remain
    valid. The very first key signs at once.
    """
    from dragoman.cli.handlers import keys

    keys.rotate(output_format, at_once=at_once)


@keys.command()
def adopt() -> None:
    """Use the present server key with a database whose own is lost.

    Signing keys and links in mails that were sent are no longer valid. People, passwords and
    sessions stay.
    """
    from dragoman.cli.handlers import keys

    keys.adopt()


@keys.command(name="list")
@options.output_option
def list_keys(*, output_format: str) -> None:
    """List the published keys, newest first."""
    from dragoman.cli.handlers import keys

    keys.list_keys(output_format)
