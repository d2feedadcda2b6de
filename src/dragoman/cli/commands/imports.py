"""Declares ``dragoman imports …``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import options


@click.group(name="imports")
def imports() -> None:
    """Show imports, and undo them.

    ID is the id that 'dragoman import' prints, such as imp_Xk3….
    """


@imports.command(name="list")
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Maximum number of imports.",
)
@options.output_option
def list_imports(*, limit: int, output_format: str) -> None:
    """List imports, newest first."""
    from dragoman.cli.handlers import imports as handler

    handler.list_imports(output_format, limit=limit)


@imports.command()
@click.argument("import_id", metavar="ID")
@options.output_option
def show(*, import_id: str, output_format: str) -> None:
    """Show an import."""
    from dragoman.cli.handlers import imports as handler

    handler.show(import_id, output_format)


@imports.command()
@click.argument("import_id", metavar="ID")
@click.option("--force", is_flag=True, help="Also people who have signed in or were changed since.")
@options.output_option
def undo(*, import_id: str, force: bool, output_format: str) -> None:
    """Undo an import: remove for good what it created, restore what it updated.

    People who have signed in, or were changed since, are left and named (exit code 5).
    """
    from dragoman.cli.handlers import imports as handler

    handler.undo(import_id, output_format, force=force)
