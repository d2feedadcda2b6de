"""Declares ``dragoman backup`` and ``dragoman restore``."""

from __future__ import annotations

from pathlib import Path

import rich_click as click


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(*, file: Path) -> None:
    """Write a backup of the directory to FILE, while the server runs.

    FILE must not exist. It is readable by its owner only, and gets its name after it was read
    back and found complete. It restores into either database. It holds password hashes, but no
    credentials and no valid links. Keep the server key (DRAGOMAN_SECRET_KEY or dragoman.key) and
    the ledger of erasures (DRAGOMAN_ERASURES) too, and apart from it.
    """
    from dragoman.cli.handlers import backups

    backups.backup(file)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--erasures",
    "ledgers",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Ledger of erasures to replay; may be repeated. Default: DRAGOMAN_ERASURES.",
)
@click.option(
    "--no-erasures", is_flag=True, help="Nobody was erased since the backup: replay no ledger."
)
def restore(*, file: Path, ledgers: tuple[Path, ...], no_erasures: bool) -> None:
    """Restore the backup FILE into the empty database that DRAGOMAN_DATABASE names.

    Everybody has to sign in again: credentials and links of before are not valid. Mails that were
    waiting are not sent. Ids go on a million after the newest one of the backup. People whom the
    ledger of erasures names are erased again. An interrupted restore leaves an empty database, or
    one that is refused until the same command is run again.
    """
    if ledgers and no_erasures:
        raise click.UsageError("give either --erasures or --no-erasures")
    from dragoman.cli.handlers import backups

    backups.restore(file, ledgers, no_erasures=no_erasures)
