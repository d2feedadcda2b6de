"""How a worker stops taking connections without failing anybody who has one.

On Linux each worker listens by itself. Who stands in its queue when it stops listening is reset, and
a connection is closed at once if its request has not come by then; both look like a fault to a caller
that was told that it is connected. So new callers are turned away first, by a filter on the listening
sockets that drops the packets which open a connection (see socket(7), ``SO_ATTACH_FILTER``): they ask
again by themselves after a second, and are refused then, or answered by whoever listens next. Those
who are connected have ``GRACE_S`` to say what they want. Elsewhere nothing of this is done.
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
"""Between the last connection and the end of those that have asked for nothing."""
OPEN_FILES = Path("/proc/self/fd")
SO_ATTACH_FILTER = 26
_TCP_FLAGS_OFFSET = 13
_SYN, _SYN_ACK_MASK = 0x02, 0x12
_DROP_SYN_FILTER = (
    (0x30, 0, 0, _TCP_FLAGS_OFFSET),  # load the byte of flags
    (0x54, 0, 0, _SYN_ACK_MASK),  # keep these two
    (0x15, 0, 1, _SYN),  # does it open a connection?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # else keep all of it
)
"""Classic BPF over the TCP header: code, jump if true, jump if false, operand."""


class _SockFprog(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def drop_new_connections(listener: socket.socket) -> None:
    """Let nobody begin a connection to a listening socket any more; raises OSError."""
    instructions = ctypes.create_string_buffer(
        b"".join(struct.pack("HBBI", *i) for i in _DROP_SYN_FILTER)
    )
    program = _SockFprog(len(_DROP_SYN_FILTER), ctypes.addressof(instructions))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))


def listening_sockets(port: int) -> Iterator[socket.socket]:
    """Yield this process's TCP sockets that listen at a port, as copies, closed after their turn.

    Not others: a filter belongs to the socket, which may be somebody else's as well.
    """
    for entry in OPEN_FILES.iterdir():
        with contextlib.suppress(OSError):  # what is closed meanwhile is none of them
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
    """Turn new callers away at a port of this process; return how long to wait (seconds).

    Where the system does not let us, those who are connected have their time all the same.
    """
    if sys.platform != "linux":
        return 0.0
    with contextlib.suppress(OSError):  # no /proc, or no file to be had: it ends all the same
        for listener in listening_sockets(port):
            with contextlib.suppress(OSError):
                drop_new_connections(listener)
    return GRACE_S
