"""The address of a server: nobody else's, from before the start until its last process has ended."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Generator

from dragoman.cli.errors import ERROR, CliError


@contextlib.contextmanager
def reserve_port(host: str, port: int) -> Generator[str]:
    """Yield the host's IP address, which is ours for the length of a block.

    And our children's that are forked: nobody has it before the last of them has ended.

    Granian itself would share a port with whoever listens there: two directories that answer by
    turns. So the port must be free; and two that start at the same moment, who both find it free,
    must have one name each in this machine's abstract sockets (Linux, see unix(7)), which nobody
    can have twice and which goes with the last process that holds it. Two addresses may have
    one directory each at the same port, so a name holds both; hence one who wants all addresses
    (0.0.0.0, ::) and one who wants a single one are kept apart by the port alone: not if they
    start at the same moment.

    Raises Told if the port cannot be had there.
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
    except UnicodeError:  # it cannot even be asked for: an empty label, or one that is too long
        raise CliError(
            ERROR, f"cannot listen at {host} port {port}: no host has such a name"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise CliError(ERROR, f"cannot listen at {host} port {port}: {reason}") from None
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
