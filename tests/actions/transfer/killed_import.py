"""Imports a file in a process that may be killed; started by ``test_kill``."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from dragoman import app
from dragoman.actions.transfer import run, runs, translate, writing
from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.recipes.recipe import Context
from dragoman.actions.transfer.records import FileOptions, ImportOptions
from dragoman.actions.transfer.run import Reporter, RunOptions
from dragoman.store.transaction import now
from tests.support.databases import settings_for
from tests.support.people import SYSTEM_ACTOR

CHUNK_ROWS = 50
"""Rows per transaction: many chances to be killed between two."""


def import_file(database: str, path: Path) -> None:
    """Import a table of people in small chunks; a run that was killed goes on."""
    runs.MAX_CHUNK_ROWS = runs.FIRST_CHUNK_ROWS = writing.MAX_CHUNK_ROWS = CHUNK_ROWS
    writing.MIN_CHUNK_ROWS = CHUNK_ROWS
    asyncio.run(_import(database, path))


async def _import(database: str, path: Path) -> None:
    source = open_records(path, FileOptions())
    options = ImportOptions()
    choice = translate.choose(
        source, FileOptions(), options, aliases={}, context=lambda _: Context(now=now())
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    run_options = RunOptions(source_name=path.name, digest=digest, keep_going=True)
    async with app.open_directory(settings_for(database)) as directory:
        await run.run(
            directory, SYSTEM_ACTOR, source, choice.translate, options, run_options, Reporter()
        )
