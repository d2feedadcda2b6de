"""``dragoman export``: the directory as a file, or on standard output."""

from __future__ import annotations

import sys
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO, Literal

from dragoman.actions.directory import Directory
from dragoman.actions.transfer.export import ExportOptions, ExportProgress, stream
from dragoman.actions.transfer.output_file import complete_file
from dragoman.cli import render
from dragoman.cli.errors import echo
from dragoman.cli.lookup import get_tenant
from dragoman.cli.session import command_line_actor, run
from dragoman.store.directory_rows import Totals

STDOUT = "-"


def export(
    file: str,
    file_format: Literal["ndjson", "csv"],
    *,
    tenant_slug: str | None,
    with_hashes: bool,
    raw: bool,
) -> None:
    """Write the export to a file or to standard output, and its totals to standard error.

    Args:
        file: the path, or ``-`` for standard output.
        file_format: ``ndjson`` or ``csv``.
        tenant_slug: the only tenant to export; None for all.
        with_hashes: export the hashes of passwords too.
        raw: leave cells as they are that a spreadsheet takes for formulas.

    Raises:
        CliError: there is no such tenant.
        OSError: the file cannot be written.
    """

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        tenant = await get_tenant(directory.read(actor), tenant_slug) if tenant_slug else None
        options = ExportOptions(
            format=file_format,
            tenant_id=tenant.id if tenant else None,
            with_hashes=with_hashes,
            raw=raw,
        )
        progress = ExportProgress()

        async def write(output: BinaryIO) -> None:
            nonlocal progress
            async with aclosing(stream(directory, actor, options, progress)) as pieces:
                async for piece in pieces:
                    output.write(piece)

        if file == STDOUT:
            await write(sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with complete_file(Path(file)) as output:
                await write(output)
        echo([_summary(progress.totals)])

    run(work)


def _summary(totals: Totals) -> str:
    numbers = (
        render.counted(totals.users, "user"),
        render.counted(totals.tenants, "tenant"),
        render.counted(totals.groups, "group"),
    )
    return f"Exported {', '.join(numbers[:2])} and {numbers[2]}"
