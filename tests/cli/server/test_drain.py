"""New connections are dropped while connected clients are still served."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from dragoman.cli.server import drain, syn_filter
from dragoman.cli.server.drain import GRACE_S
from dragoman.cli.server.syn_filter import listening_sockets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these filters")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_connected_clients_are_served_and_new_ones_are_not(host: str):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip("no such address here")
        listener.listen()
        address = listener.getsockname()
        with socket.socket(family) as connected, socket.socket(family) as newcomer:
            connected.connect(address)
            (found,) = [s.getsockname() for s in listening_sockets(address[1])]
            assert found == address
            syn_filter.attach(listener, syn_filter.drop_all())
            connected.sendall(b"here")
            newcomer.settimeout(0.3)
            with pytest.raises(TimeoutError):
                newcomer.connect(address)
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(10) == b"here"
                connection.sendall(b"and there")
                assert connected.recv(10) == b"and there"


def test_only_listening_sockets_are_found():
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        port = listener.getsockname()[1]
        assert [s.getsockname() for s in listening_sockets(port)] == [listener.getsockname()]
        assert list(listening_sockets(client.getsockname()[1])) == []


def test_sockets_on_other_ports_are_unchanged():
    """They may be shared with the process that started this one."""
    with (
        socket.create_server(("127.0.0.1", 0)) as ours,
        socket.create_server(("127.0.0.1", 0)) as theirs,
    ):
        drain.stop_accepting(ours.getsockname()[1])
        with socket.create_connection(theirs.getsockname(), timeout=5):
            pass


def test_missing_proc_does_not_prevent_shutdown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(syn_filter, "OPEN_FILES", tmp_path / "none")
    assert drain.stop_accepting(1) == GRACE_S


def test_missing_filter_support_does_not_prevent_shutdown(monkeypatch: pytest.MonkeyPatch):
    def refuse(_: socket.socket, __: object) -> None:
        raise OSError("Protocol not available")

    monkeypatch.setattr(syn_filter, "attach", refuse)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert drain.stop_accepting(listener.getsockname()[1]) == GRACE_S
        with socket.create_connection(listener.getsockname(), timeout=5):
            pass
