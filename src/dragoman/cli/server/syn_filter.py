"""Filters that make the kernel drop packets that open a connection to a listening socket.

Linux only (socket(7), ``SO_ATTACH_FILTER``); no privileges are needed. Established connections are
not affected. A client retransmits a dropped packet after a second, then after two, and so on.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

OPEN_FILES = Path("/proc/self/fd")
SO_ATTACH_FILTER = 26
MAX_NETWORKS = 100
"""A filter drops packets of at most this many networks: every connection is charged for it (sysctl net.core.optmem_max)."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Instruction = tuple[int, int, int, int]
"""Of classic BPF: code, jump if true, jump if false, operand."""

_LOAD_BYTE, _LOAD_WORD, _AND = 0x30, 0x20, 0x54
_JUMP, _JUMP_IF_EQUAL, _RETURN = 0x05, 0x15, 0x06
_TCP_FLAGS_OFFSET = 13
_SYN, _SYN_ACK_MASK = 0x02, 0x12
_NETWORK_HEADER = 0xFFF00000
"""SKF_NET_OFF: offsets from here count from the IP header; others from the TCP header."""
_VERSION_MASK, _VERSION_4 = 0xF0, 0x40
_SOURCE_4, _SOURCE_6 = _NETWORK_HEADER + 12, _NETWORK_HEADER + 8
_DROP: Instruction = (_RETURN, 0, 0, 0)
_KEEP: Instruction = (_RETURN, 0, 0, 0xFFFFFFFF)
_KEEP_UNLESS_SYN: tuple[Instruction, ...] = (
    (_LOAD_BYTE, 0, 0, _TCP_FLAGS_OFFSET),
    (_AND, 0, 0, _SYN_ACK_MASK),
    (_JUMP_IF_EQUAL, 1, 0, _SYN),  # SYN without ACK: go on
    _KEEP,
)


class _SockFprog(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def drop_all() -> list[Instruction]:
    """Return a filter that drops every new connection."""
    return [*_KEEP_UNLESS_SYN, _DROP]


def drop_from(networks: Iterable[Network]) -> list[Instruction]:
    """Return a filter that drops new connections from IPv4 addresses and IPv6 networks (/64)."""
    version_4: list[Instruction] = [(_LOAD_WORD, 0, 0, _SOURCE_4)]
    version_6: list[Instruction] = []
    for network in list(networks)[:MAX_NETWORKS]:
        words = struct.unpack(
            ">I" if network.version == 4 else ">IIxxxxxxxx", network.network_address.packed
        )
        if len(words) == 1:
            version_4 += [(_JUMP_IF_EQUAL, 0, 1, words[0]), _DROP]
        else:
            version_6 += [
                (_LOAD_WORD, 0, 0, _SOURCE_6),
                (_JUMP_IF_EQUAL, 0, 3, words[0]),
                (_LOAD_WORD, 0, 0, _SOURCE_6 + 4),
                (_JUMP_IF_EQUAL, 0, 1, words[1]),
                _DROP,
            ]
    version_4.append(_KEEP)
    return [
        *_KEEP_UNLESS_SYN,
        (_LOAD_BYTE, 0, 0, _NETWORK_HEADER),
        (_AND, 0, 0, _VERSION_MASK),
        (_JUMP_IF_EQUAL, 1, 0, _VERSION_4),
        (_JUMP, 0, 0, len(version_4)),  # a conditional jump reaches 255 instructions only
        *version_4,
        *version_6,
        _KEEP,
    ]


def attach(listener: socket.socket, program: list[Instruction]) -> None:
    """Filter the packets of a listening socket; replaces an earlier filter. Raises OSError."""
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in program))
    pointer = _SockFprog(len(program), ctypes.addressof(instructions))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(pointer))


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
