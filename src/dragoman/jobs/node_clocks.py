"""Every node notes how far its clock is from the database's, for ``dragoman doctor``."""

from __future__ import annotations

import socket

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.system import system_actor
from dragoman.rules.model import DAY, MINUTE
from dragoman.store import clocks

INTERVAL = 10 * MINUTE
"""How often a node compares its clock (microseconds)."""
RETENTION = DAY
"""After which time a node that no longer runs is forgotten (microseconds)."""


async def compare_clock(directory: Directory) -> int:
    """Note how far this node's clock is from the database's; on SQLite, there is one clock.

    Returns the number of nodes that are forgotten.
    """
    if directory.settings.sqlite_path is not None:
        return 0
    clock = msgspec.structs.replace(
        await clocks.measure(directory.read(system_actor("upkeep"))), node=socket.gethostname()
    )
    async with directory.begin(system_actor("upkeep")) as tx:
        await clocks.save(tx, clock)
        stale = [each for each in await clocks.list_all(tx) if each.at < clock.at - RETENTION]
        for each in stale:
            await clocks.remove(tx, each)
    return len(stale)
