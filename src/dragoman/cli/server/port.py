"""Reserves the port of a server until its last process has exited."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Generator

from dragoman.cli.errors import ERROR, CliError


@contextlib.contextmanager
def reserve_port(host: str, port: int) -> Generator[str]:
    """Reserve a port and yield the host's IP address; the reservation ends with the block.

    Forked child processes share the reservation: the port is free once the last of them has
    exited.

    Granian listens with SO_REUSEPORT, so a second server on the same port would start without an
    error, and the two would answer by turns. Two checks prevent this. First, the port must be
    free: a socket without SO_REUSEPORT is bound to it and closed. Second, to stop two servers that
    start at the same moment and both pass the first check, an abstract Unix socket named after
    address and port is bound (Linux, unix(7)); the kernel releases it with the last process that
    has it open. Because the name contains the address, the second check does not cover a server on
    a wildcard address (0.0.0.0, ::) and one on a single address that start at the same moment.

    Raises CliError if the port is not available.
    """
    try:
        family, socket_type, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.ExitStack() as stack:
            if sys.platform == "linux":
                stack.enter_context(_bind_abstract_socket(f"dragoman {address[0]} {port}"))
            with socket.socket(family, socket_type, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
            reservation = stack.pop_all()
    except UnicodeError:  # a label of the host name is empty or too long
        raise CliError(
            ERROR, f"cannot listen on {host} port {port}: not a valid host name"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise CliError(ERROR, f"cannot listen on {host} port {port}: {reason}") from None
    with reservation:
        yield str(address[0])


def _bind_abstract_socket(name: str) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(f"\0{name}")
    except OSError:
        bound.close()
        raise
    return bound
