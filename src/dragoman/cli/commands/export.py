"""Declares ``dragoman export``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import completion


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(("ndjson", "csv")),
    help="ndjson: the whole directory, which 'dragoman import' takes back; csv: a table of the "
    "users, for spreadsheets. Default: ndjson, or csv for a FILE that ends in .csv.",
)
@click.option(
    "--tenant",
    "tenant_slug",
    metavar="SLUG",
    shell_complete=completion.tenants,
    help="Export this tenant only.",
)
@click.option(
    "--with-hashes",
    is_flag=True,
    help="Export the hashes of the passwords too: keep the file as secret as the passwords.",
)
@click.option(
    "--raw",
    is_flag=True,
    help="csv: put no ' before cells that a spreadsheet would take for formulas.",
)
def export(
    file: str, *, file_format: str | None, tenant_slug: str | None, with_hashes: bool, raw: bool
) -> None:
    """Export users, tenants and groups to FILE, or to standard output for -.

    The export holds the directory as it was at one moment; a running server is not held up. FILE
    can be read by its owner only, and gets its name when it is complete. Without --with-hashes
    users of a directory that is made from it must set a new password before they can sign in. Deleted
    users, tokens, sessions and history are not exported; 'dragoman backup' has everything.
    """
    if file_format is None:
        file_format = "csv" if file.lower().endswith(".csv") else "ndjson"
    if raw and file_format != "csv":
        raise click.UsageError("--raw is for tables: use it with --format csv")
    from dragoman.cli.handlers import export

    export.export(
        file,
        "csv" if file_format == "csv" else "ndjson",
        tenant_slug=tenant_slug,
        with_hashes=with_hashes,
        raw=raw,
    )
