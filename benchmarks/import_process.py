"""Imports a table of users as the command does, in a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import msgspec

from dragoman import app
from dragoman.actions.system import system_actor
from dragoman.actions.transfer import run, translate
from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.recipes.recipe import Context
from dragoman.actions.transfer.records import FileOptions, ImportOptions
from dragoman.actions.transfer.run import Reporter, RunOptions
from dragoman.settings import Settings
from dragoman.store.transaction import now


async def _import(database: str, secret_key: str, path: Path) -> None:
    source = open_records(path, FileOptions())
    options = ImportOptions()
    choice = translate.choose(
        source, FileOptions(), options, aliases={}, context=lambda _: Context(now=now())
    )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    run_options = RunOptions(source_name=path.name, digest=digest)
    settings = Settings(database=database, secret_key=bytes.fromhex(secret_key))
    async with app.open_directory(settings) as directory:
        summary = await run.run(
            directory,
            system_actor("benchmark"),
            source,
            choice.translate,
            options,
            run_options,
            Reporter(),
        )
    print(msgspec.json.encode(summary.tally).decode())


if __name__ == "__main__":
    asyncio.run(_import(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
