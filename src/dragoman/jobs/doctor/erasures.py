"""Checks of the ledger of erasures for ``dragoman doctor``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from dragoman.actions.steps import erasure_ledger
from dragoman.jobs.doctor.finding import Finding, fail, ok, warn
from dragoman.store import erasures as erasure_store
from dragoman.store.transaction import Read

CHECK = "erasures"


async def check(read: Read, path: Path) -> Finding:
    """Check that the ledger can be written and read, and that it agrees with the database.

    It is not changed.
    """
    if not _is_writable(path):
        return fail(
            CHECK,
            f"the ledger {path} cannot be written",
            "nobody can be erased: deletions that erase are answered with 503",
            f"make {path.parent} writable for the server, or set DRAGOMAN_ERASURES",
        )
    try:
        ledger = erasure_ledger.public_ids(path)
    except (OSError, erasure_ledger.UnreadableLedger) as error:
        return fail(
            CHECK,
            str(error),
            "a restored backup could bring back people who were erased",
            f"restore {path} from a copy",
        )
    in_table = {public_id async for public_id in erasure_store.all_public_ids(read)}
    missing = len(in_table - ledger)
    if missing:
        return warn(
            CHECK,
            f"{missing} of {len(in_table)} erasures are not in {path}",
            "a restored backup from before would bring these people back",
            "put the ledger back; with several nodes, keep those of all, for 'restore --erasures'",
        )
    unerased = await _find_unerased(read, ledger - in_table)
    if unerased:
        shown = ", ".join(str(user_id) for user_id in unerased)
        return warn(
            CHECK,
            f"{path} names users who are not erased: {shown}",
            "their erasure failed at its end, and 'dragoman restore' would erase them",
            "run 'dragoman users erase ID', or remove their lines",
        )
    return ok(CHECK, f"{len(in_table)}, all in {path}" if in_table else "none yet")


def _is_writable(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK) if path.exists() else os.access(path.parent, os.W_OK)


async def _find_unerased(read: Read, public_ids: Iterable[str]) -> list[int]:
    """Return ids of users who are in the ledger alone."""
    remaining, found = iter(sorted(public_ids)), list[int]()
    while step := list(islice(remaining, erasure_store.PAGE_ROWS)):
        found += await erasure_store.list_unerased(read, step)
    return found
