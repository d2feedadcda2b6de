"""Serves a filled database with the Dragoman of any checkout: the other half of `pairs.py`.

It runs as a file, with that checkout on the module path, and uses only what the benchmarks of every
checkout have. It writes one line of JSON about the server, then waits for the end of its input.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks import dragoman_target, servers
from benchmarks.data import Dataset


def main() -> None:
    """Fill a database and serve it; arguments: ``sqlite`` or ``postgresql``, number of users."""
    database, users = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="dragoman-pairs-") as name:
        folder, dataset = Path(name), Dataset(users)
        filled = (
            dragoman_target.sqlite_target(dataset, folder)
            if database == "sqlite"
            else dragoman_target.postgresql_target(dataset, folder, servers.postgresql())
        )
        with filled as place, place.serve(1) as target:
            described = {"url": target.url, "pid": target.pid, "tokens": target.tokens}
            print(json.dumps(described), flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
