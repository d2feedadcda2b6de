"""Declares ``dragoman explain``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import completion, options


@click.command()
@click.argument("user_ref", metavar="USER", shell_complete=completion.users)
@options.output_option
def explain(user_ref: str, *, output_format: str) -> None:
    """Explain at which contracts a user can sign in, or why not and since when.

    Shows the user's role at each contract, the credentials that are valid, and the permissions
    with where they come from. USER is a username, an e-mail address, an id or a public id; of
    deleted users, an id or a public id.

    "depends" means that it depends on the client's address, or on the length of a password that
    has not been used here yet.
    """
    from dragoman.cli.handlers import explain

    explain.show(user_ref, output_format)
