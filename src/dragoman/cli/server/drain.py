"""Stops new connections to a worker before it exits, without failing connected clients.

On Linux each worker has its own listening socket. When a worker closes it, the kernel resets the
connections that are waiting in its queue, and Granian closes accepted connections that have not
sent a request yet. To their clients, both look like a server error. So ``stop_accepting`` first
attaches a filter to the listening sockets that drops SYN packets (socket(7),
``SO_ATTACH_FILTER``): new clients retransmit after a second and then are refused, or reach the
server that is listening by then. Connected clients have ``GRACE_S`` to send their request. On
other systems, nothing is done.
"""

from __future__ import annotations

import contextlib
import sys

from dragoman.cli.server import syn_filter

GRACE_S = 0.1
"""Time that connected clients have to send a request (seconds)."""


def stop_accepting(port: int) -> float:
    """Drop new connections to a port of this process; return the time to wait (seconds).

    Connected clients get this time even if the filter cannot be attached.
    """
    if sys.platform != "linux":
        return 0.0
    with contextlib.suppress(OSError):  # no /proc, or no free file descriptor: shut down anyway
        for listener in syn_filter.listening_sockets(port):
            with contextlib.suppress(OSError):
                syn_filter.attach(listener, syn_filter.drop_all())
    return GRACE_S
