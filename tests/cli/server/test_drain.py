"""New callers are turned away while those who are connected are still served."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from dragoman.cli.server import drain
from dragoman.cli.server.drain import GRACE_S, drop_new_connections, listening_sockets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these filters")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_who_is_connected_is_served_and_nobody_else_comes_in(host: str):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        try:
            listening.bind((host, 0))
        except OSError:
            pytest.skip("no such address here")
        listening.listen()
        there = listening.getsockname()
        with socket.socket(family) as early, socket.socket(family) as late:
            early.connect(there)
            (found,) = [s.getsockname() for s in listening_sockets(there[1])]
            assert found == there
            drop_new_connections(listening)
            early.sendall(b"here")
            late.settimeout(0.3)
            with pytest.raises(TimeoutError):
                late.connect(there)
            served, _ = listening.accept()
            with served:
                assert served.recv(10) == b"here"
                served.sendall(b"and there")
                assert early.recv(10) == b"and there"


def test_only_those_that_listen_are_found():
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        port = listening.getsockname()[1]
        assert [s.getsockname() for s in listening_sockets(port)] == [listening.getsockname()]
        assert list(listening_sockets(client.getsockname()[1])) == []


def test_another_socket_is_left_alone():
    """It may be somebody else's too, who started this process and leaked it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as ours,
        socket.create_server(("127.0.0.1", 0)) as theirs,
    ):
        drain.stop_accepting(ours.getsockname()[1])
        with socket.create_connection(theirs.getsockname(), timeout=5):
            pass


def test_no_list_of_files_is_no_reason_either(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(drain, "OPEN_FILES", tmp_path / "none")
    assert drain.stop_accepting(1) == GRACE_S


def test_a_system_that_knows_no_filters_is_no_reason_not_to_end(monkeypatch: pytest.MonkeyPatch):
    def refuse(_: socket.socket) -> None:
        raise OSError("Protocol not available")

    monkeypatch.setattr(drain, "drop_new_connections", refuse)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert drain.stop_accepting(listening.getsockname()[1]) == GRACE_S
        with socket.create_connection(listening.getsockname(), timeout=5):
            pass
