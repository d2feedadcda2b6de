"""The database's clock, and how far the clocks of the nodes are from it."""

from __future__ import annotations

import time

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import SECOND
from dragoman.store import server_state
from dragoman.store.query import Query
from dragoman.store.transaction import Read, Tx, now

PREFIX = "clock:"
"""Prefix of the keys of nodes in ``server_state``; their host names follow."""

_DATABASE_TIME: Query[int] = Query(
    sa.text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"),
    sqlite=sa.text("SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS integer)"),
)


class NodeClock(msgspec.Struct, frozen=True):
    """How far a node's clock was ahead of the database's at ``at`` (both in microseconds).

    ``at`` is a time of the database.
    """

    node: str
    ahead: int
    at: int


async def measure(reader: Read | Tx) -> NodeClock:
    """Compare the clock of this process with the database's; what the answer took is left out."""
    before, started = now(), time.monotonic_ns()
    database_time = await reader.fetch_one(_DATABASE_TIME) or 0
    elapsed = (time.monotonic_ns() - started) // 1000
    ahead = before + elapsed // 2 - database_time
    inexact = elapsed // 2
    certain = max(0, abs(ahead) - inexact)
    return NodeClock("", certain if ahead > 0 else -certain, database_time)


async def save(tx: Tx, clock: NodeClock) -> None:
    """Save how far a node's clock is from the database's."""
    await server_state.save(tx, PREFIX + clock.node, msgspec.json.encode(clock).decode())


async def list_all(reader: Read | Tx) -> list[NodeClock]:
    """Return the clocks of all nodes that were saved, by name."""
    found = await server_state.list_values(reader, PREFIX)
    return [msgspec.json.decode(value, type=NodeClock) for value in found]


async def remove(tx: Tx, clock: NodeClock) -> None:
    """Delete what is known of a node's clock."""
    await server_state.remove(tx, PREFIX + clock.node)


def seconds(clock: NodeClock) -> float:
    """Return how many seconds a clock is ahead."""
    return clock.ahead / SECOND
