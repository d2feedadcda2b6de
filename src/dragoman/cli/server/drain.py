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
import ctypes
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

GRACE_S = 0.1
"""Time that connected clients have to send a request (seconds)."""
OPEN_FILES = Path("/proc/self/fd")
SO_ATTACH_FILTER = 26
_TCP_FLAGS_OFFSET = 13
_SYN, _SYN_ACK_MASK = 0x02, 0x12
_DROP_SYN_FILTER = (
    (0x30, 0, 0, _TCP_FLAGS_OFFSET),  # load the byte of TCP flags
    (0x54, 0, 0, _SYN_ACK_MASK),  # keep SYN and ACK
    (0x15, 0, 1, _SYN),  # SYN without ACK?
    (0x06, 0, 0, 0),  # yes: drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # no: accept all of it
)
"""Classic BPF over the TCP header: code, jump if true, jump if false, operand."""


class _SockFprog(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def drop_new_connections(listener: socket.socket) -> None:
    """Drop all packets that open a connection to a listening socket; raises OSError."""
    instructions = ctypes.create_string_buffer(
        b"".join(struct.pack("HBBI", *i) for i in _DROP_SYN_FILTER)
    )
    program = _SockFprog(len(_DROP_SYN_FILTER), ctypes.addressof(instructions))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))


def listening_sockets(port: int) -> Iterator[socket.socket]:
    """Yield duplicates of this process's sockets listening on a TCP port; each is closed after use.

    Sockets on other ports are skipped: they may be shared with other processes, and a filter
    would affect those too.
    """
    for entry in OPEN_FILES.iterdir():
        with contextlib.suppress(OSError):  # closed since the directory was read
            if not stat.S_ISSOCK(os.fstat(int(entry.name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as candidate:
                is_tcp = candidate.type == socket.SOCK_STREAM and candidate.family != socket.AF_UNIX
                is_listening = is_tcp and candidate.getsockopt(
                    socket.SOL_SOCKET, socket.SO_ACCEPTCONN
                )
                if is_listening and candidate.getsockname()[1] == port:
                    yield candidate


def stop_accepting(port: int) -> float:
    """Drop new connections to a port of this process; return the time to wait (seconds).

    Connected clients get this time even if the filter cannot be attached.
    """
    if sys.platform != "linux":
        return 0.0
    with contextlib.suppress(OSError):  # no /proc, or no free file descriptor: shut down anyway
        for listener in listening_sockets(port):
            with contextlib.suppress(OSError):
                drop_new_connections(listener)
    return GRACE_S
