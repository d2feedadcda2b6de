"""Check of the clocks of all nodes against the database's."""

from __future__ import annotations

from dragoman.jobs.doctor.finding import Finding, ok, warn
from dragoman.jobs.node_clocks import INTERVAL
from dragoman.rules.model import SECOND
from dragoman.settings import Settings
from dragoman.store import clocks
from dragoman.store.clocks import NodeClock
from dragoman.store.transaction import Read

CHECK = "clocks"
MAX_SKEW = 2 * SECOND
"""Difference from the database's clock that is reported (microseconds)."""


async def check(read: Read, settings: Settings) -> Finding:
    """Compare this machine's clock, and what other nodes have measured, with the database's."""
    if settings.sqlite_path is not None:
        return ok(CHECK, "one machine, one clock")
    here = await clocks.measure(read)
    recent = [clock for clock in await clocks.list_all(read) if clock.at > here.at - 3 * INTERVAL]
    shown = [f"this machine {_skew(here)}", *(f"{each.node} {_skew(each)}" for each in recent)]
    found = f"against the database's: {', '.join(shown)}"
    if all(abs(each.ahead) <= MAX_SKEW for each in (here, *recent)):
        return ok(CHECK, found)
    return warn(
        CHECK,
        found,
        "links and credentials end too early or too late, and the history is not in order",
        "run 'timedatectl set-ntp true' there, or start another client of NTP",
    )


def _skew(clock: NodeClock) -> str:
    return f"{clocks.seconds(clock):+.1f} s"
