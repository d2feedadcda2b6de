"""Private SQLite files for what does not fit into memory: they vanish with the process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from dragoman.store.drivers import sqlite_library


def open_private_file(*statements: str, cache_kib: int) -> Any:
    """Return a connection to a new file, in a transaction that is never rolled back.

    Only the owner of the process can read the file, and its name is removed as soon as it is
    open, so that nothing is left behind however the process ends. It lies where ``TMPDIR`` says.
    (SQLite's own nameless databases stay in memory if it is compiled with SQLITE_TEMP_STORE=3.)
    The connection may be used by several threads, by one at a time.

    Args:
        statements: create the tables.
        cache_kib: memory for pages, in KiB; the other pages are on the disk.
    """
    with tempfile.TemporaryDirectory(prefix="dragoman-") as directory:  # mode 0700
        path = Path(directory, "private.db")
        connection = sqlite_library.connect(path)
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        for statement in statements:
            connection.execute(statement)
    connection.execute("BEGIN")
    return connection
