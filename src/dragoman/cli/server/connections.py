"""The TCP connections of this process's clients: what the kernel knows of them, and how to end one.

Granian owns the sockets and offers no access to them, so they are found among the open files.
Linux only.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections import Counter
from pathlib import Path

import msgspec

from dragoman.cli.server.syn_filter import OPEN_FILES, Network
from dragoman.rules.client_addresses import IPV6_PREFIX

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Peer = tuple[str, str]
"""Address and port of a client, as in the ``client`` of Granian's ASGI scope."""

SYSTEM_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_TCP_INFO_BYTES = 160
_TIMES_OFFSET, _SEGMENTS_OFFSET = 44, 152
_ESTABLISHED = 1


class Connection(msgspec.Struct, frozen=True):
    """A client's connection, as struct tcp_info of linux/tcp.h describes it.

    Attributes:
        descriptor: its file descriptor.
        peer: the client.
        since_sent: seconds since data was sent to the client, or since the connection was made.
        since_received: seconds since data came from the client, or since the connection was made.
        has_received: whether data ever came from the client.
        has_sent: whether data was ever sent to the client.
    """

    descriptor: int
    peer: Peer
    since_sent: float
    since_received: float
    has_received: bool = True
    has_sent: bool = True

    @property
    def has_begun(self) -> bool:
        """Whether the client has sent something since the last answer."""
        return self.has_received and (not self.has_sent or self.since_received < self.since_sent)


def client_connections(port: int) -> list[Connection]:
    """Return the established connections to a port of this process. Raises OSError without /proc."""
    found: list[Connection] = []
    for name in os.listdir(OPEN_FILES):  # noqa: PTH208 - paths of thousands of files cost time
        connection = _connection(int(name), port)
        if connection is not None:
            found.append(connection)
    return found


def _connection(descriptor: int, port: int) -> Connection | None:
    try:
        # Naming family and type avoids two system calls; the calls below do not depend on them.
        file = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 0, fileno=descriptor)
    except OSError:
        return None
    try:
        if not _is_port(file.getsockname(), port):
            return None
        peer = file.getpeername()
        info = file.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:  # not a socket, not connected, or closed meanwhile
        return None
    finally:
        file.detach()  # it belongs to Granian
    if len(info) < _TCP_INFO_BYTES or info[0] != _ESTABLISHED:
        return None
    sent, _, received = struct.unpack_from("=III", info, _TIMES_OFFSET)
    segments_in, segments_out = struct.unpack_from("=II", info, _SEGMENTS_OFFSET)
    return Connection(
        descriptor,
        (peer[0], str(peer[1])),
        sent / 1000,
        received / 1000,
        has_received=segments_in > 0,
        has_sent=segments_out > 0,
    )


def _is_port(address: object, port: int) -> bool:
    return isinstance(address, tuple) and len(address) >= 2 and address[1] == port


def shut_down(connection: Connection) -> None:
    """End a connection; Granian closes its file when it reads the end. Raises OSError."""
    duplicate = os.dup(connection.descriptor)
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 0, fileno=duplicate) as file:
        # The descriptor may belong to another connection by now.
        if file.getpeername()[:2] == (connection.peer[0], int(connection.peer[1])):
            file.shutdown(socket.SHUT_RDWR)


def address_of(host: str) -> Address:
    """Return an address without its zone, an IPv4-mapped IPv6 one as IPv4."""
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def network_of(address: Address) -> Network:
    """Return the network whose connections count together: an IPv4 address, or an IPv6 /64."""
    prefix = IPV6_PREFIX if address.version == 6 else 32
    return ipaddress.ip_network((address, prefix), strict=False)


def connections_by_network(port: int) -> Counter[Network]:
    """Return how many connections each network has to a port, over all processes."""
    counted: Counter[str] = Counter()
    for table in SYSTEM_TABLES:
        if not table.exists():  # no IPv6 here
            continue
        for line in table.read_text().splitlines()[1:]:
            _, local, remote, state, *_ = line.split(maxsplit=4)
            if int(local.partition(":")[2], 16) == port and int(state, 16) == _ESTABLISHED:
                counted[remote.partition(":")[0]] += 1
    total: Counter[Network] = Counter()
    for address, count in counted.items():
        total[network_of(address_of(_host(address)))] += count
    return total


def _host(hexadecimal: str) -> str:
    """Return an address of /proc/net/tcp, which writes 32-bit words as this machine stores them."""
    words = [int(hexadecimal[at : at + 8], 16) for at in range(0, len(hexadecimal), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
