"""Connections: which ones end, and what the kernel is asked and told about them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from dragoman.cli.server import connections, syn_filter
from dragoman.cli.server.connection_limits import (
    ConnectionMonitor,
    ConnectionReview,
    Limits,
    OpenRequests,
)
from dragoman.cli.server.connections import Connection, Peer
from dragoman.cli.server.syn_filter import Network

LIMITS = Limits(keep_alive_s=75, header_s=20, per_address=4)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says so much")


def connection(number: int, host: str = "192.0.2.1", **facts: Any) -> Connection:
    """Return a connection that has been answered and is idle."""
    known: dict[str, Any] = {"since_sent": 1.0, "since_received": 1.0} | facts
    return Connection(number, (host, str(number)), **known)


def review(limits: Limits = LIMITS, totals: Counter[Network] | None = None) -> ConnectionReview:
    return ConnectionReview(limits, lambda: totals or Counter())


def ended(which: list[Connection]) -> list[int]:
    return [each.descriptor for each in which]


class TestTimes:
    def test_an_idle_connection_ends_after_the_keep_alive(self) -> None:
        idle = connection(1, since_sent=74.9, since_received=80.0)
        old = connection(2, since_sent=75.0, since_received=80.0)
        silent = connection(
            3, since_sent=76.0, since_received=76.0, has_received=False, has_sent=False
        )
        assert ended(review().review([idle, old, silent], set(), 1000.0)) == [2, 3]

    @pytest.mark.parametrize(
        "begun",
        [
            connection(1, since_sent=60.0, since_received=0.5),
            connection(1, since_sent=5.0, since_received=5.0, has_sent=False),
        ],
        ids=["after an answer", "at first"],
    )
    def test_headers_that_have_begun_have_twenty_seconds(self, begun: Connection) -> None:
        reviewed = review()
        assert reviewed.review([begun], set(), 1000.0) == []
        assert reviewed.review([begun], set(), 1019.9) == []
        assert reviewed.review([begun], set(), 1020.0) == [begun]

    def test_the_time_begins_anew_with_the_next_headers(self) -> None:
        reviewed = review()
        begun, idle = connection(1, since_received=0.5), connection(1)
        for now, found in ((0.0, begun), (19.0, idle), (20.0, begun), (39.0, begun)):
            assert reviewed.review([found], set(), now) == []

    def test_a_request_that_is_being_answered_has_no_limit(self) -> None:
        reviewed = review()
        begun = connection(1, since_sent=600.0, since_received=0.5)
        for now in (0.0, 30.0, 60.0):
            assert reviewed.review([begun], {begun.peer}, now) == []


class TestAddresses:
    def test_the_longest_idle_end_and_requests_last(self) -> None:
        found = [
            connection(1, since_received=1.0),
            connection(2, since_received=9.0, since_sent=8.0),
            connection(3, since_received=0.1),  # waits for its answer
            connection(4, since_received=20.0),
            connection(5, since_received=30.0),
            connection(6, since_received=5.0),
            connection(7, "192.0.2.2", since_received=60.0),
        ]
        reviewed = review()
        assert ended(reviewed.review(found, {found[4].peer}, 0.0)) == [4, 2]
        assert reviewed.full == {ipaddress.ip_network("192.0.2.1/32")}

    def test_a_full_address_opens_no_more_until_one_ends(self) -> None:
        reviewed = review()
        four = [connection(n) for n in range(4)]
        assert reviewed.review(four, set(), 0.0) == []
        assert len(reviewed.full) == 1
        assert reviewed.review(four[:3], set(), 1.0) == []
        assert reviewed.full == set()

    def test_an_ipv6_network_counts_as_one_and_a_mapped_address_as_ipv4(self) -> None:
        hosts = [*(f"2001:db8::{n}" for n in range(5)), "2001:db8:0:1::1", "::ffff:192.0.2.1"]
        reviewed = review()
        found = [connection(n, host) for n, host in enumerate(hosts)]
        assert len(reviewed.review(found, set(), 0.0)) == 1
        assert reviewed.full == {ipaddress.ip_network("2001:db8::/64")}

    @pytest.mark.parametrize(
        "limits",
        [
            Limits(keep_alive_s=75, header_s=20, per_address=0),
            Limits(
                keep_alive_s=75,
                header_s=20,
                per_address=4,
                exempt=(ipaddress.ip_network("192.0.2.0/24"),),
            ),
        ],
        ids=["no limit", "trusted proxy"],
    )
    def test_who_is_not_counted(self, limits: Limits) -> None:
        reviewed = review(limits)
        assert reviewed.review([connection(n) for n in range(9)], set(), 0.0) == []
        assert reviewed.full == set()

    def test_every_worker_ends_its_share_of_what_all_have(self) -> None:
        limits = Limits(keep_alive_s=75, header_s=20, per_address=4, workers=2)
        network = ipaddress.ip_network("192.0.2.1/32")
        found = [connection(n) for n in range(3)]
        assert review(limits, Counter({network: 4})).review(found, set(), 0.0) == []
        assert len(review(limits, Counter({network: 6})).review(found, set(), 0.0)) == 1


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@linux_only
class TestKernel:
    def test_what_is_known_of_a_connection(self, listener: socket.socket) -> None:
        port = listener.getsockname()[1]

        def only() -> Connection:
            (found,) = connections.client_connections(port)
            return found

        with socket.create_connection(listener.getsockname()) as client:
            accepted, (host, peer_port) = listener.accept()
            with accepted:
                silent = only()
                assert silent.peer == (host, str(peer_port))
                assert (silent.has_received, silent.has_sent, silent.has_begun) == (False,) * 3
                client.sendall(b"GET /")
                accepted.recv(10)
                assert only().has_begun
                time.sleep(0.02)  # the kernel's clock ticks every few milliseconds
                accepted.sendall(b"an answer")
                assert not only().has_begun
                time.sleep(0.02)
                client.sendall(b"GET")
                assert only().has_begun
                assert connections.connections_by_network(port) == {
                    ipaddress.ip_network("127.0.0.1/32"): 1
                }
                connections.shut_down(only())
                assert accepted.recv(10) == b"GET"
                assert accepted.recv(10) == b""
                assert connections.client_connections(port) == []

    def test_a_descriptor_of_another_connection_is_left_alone(
        self, listener: socket.socket
    ) -> None:
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            with accepted:
                other = Connection(accepted.fileno(), ("127.0.0.1", "1"), 0.0, 0.0)
                connections.shut_down(other)
                accepted.sendall(b"x")
                assert client.recv(1) == b"x"

    @pytest.mark.parametrize(
        ("host", "sources", "others", "blocked"),
        [
            (
                "127.0.0.1",
                ["127.0.0.5", "127.0.0.6"],
                ["127.0.0.7"],
                ["127.0.0.5/32", "2001:db8::/64", "127.0.0.6/32"],
            ),
            ("::1", ["::1"], [], ["127.0.0.5/32", "::/64"]),
            ("::1", [], ["::1"], ["0:0:0:1::/64", "0:1::/64"]),
        ],
    )
    def test_new_connections_of_a_network_are_dropped(
        self, host: str, sources: list[str], others: list[str], blocked: list[str]
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        networks = [ipaddress.ip_network(each) for each in blocked]

        def connects(source: str) -> bool:
            with socket.socket(family) as client:
                client.settimeout(0.3)
                client.bind((source, 0))
                try:
                    client.connect(address)
                except TimeoutError:
                    return False
                return True

        try:
            server = socket.create_server((host, 0), family=family)
        except OSError:
            pytest.skip("no such address here")
        with server:
            address = server.getsockname()
            syn_filter.attach(server, syn_filter.drop_from(networks))
            assert not any(map(connects, sources))
            assert all(map(connects, others))
            syn_filter.attach(server, syn_filter.drop_from([]))
            assert all(map(connects, sources))

    def test_the_largest_filter_is_accepted(self, listener: socket.socket) -> None:
        many = [ipaddress.ip_network((n << 96, 64)) for n in range(1, 200)]
        many += [ipaddress.ip_network((n << 8, 32)) for n in range(1, 200)]
        syn_filter.attach(listener, syn_filter.drop_from(many))
        with socket.create_connection(listener.getsockname(), timeout=5):
            pass

    def test_a_flood_is_ended_and_kept_out(self, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        monitor = ConnectionMonitor(port, LIMITS, set[Peer])
        clients = [socket.create_connection(listener.getsockname()) for _ in range(9)]
        accepted = [listener.accept()[0] for _ in clients]
        try:
            monitor.look()
            assert len(connections.client_connections(port)) == LIMITS.per_address
            with socket.socket() as late:
                late.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    late.connect(listener.getsockname())
            for one in (*clients[-2:], *accepted[-2:]):
                one.close()
            monitor.look()
            with socket.create_connection(listener.getsockname(), timeout=5):
                pass
        finally:
            for one in (*clients, *accepted):
                one.close()

    def test_a_stopped_monitor_changes_nothing(self, listener: socket.socket) -> None:
        monitor = ConnectionMonitor(
            listener.getsockname()[1],
            Limits(keep_alive_s=0, header_s=0, per_address=1),
            set[Peer],
        )
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            with accepted:
                monitor.stop()
                monitor.look()
                accepted.sendall(b"x")
                assert client.recv(1) == b"x"


def test_open_requests_are_those_whose_application_has_not_returned() -> None:
    async def app(*_: Any) -> None:
        await asyncio.sleep(0)

    open_requests = OpenRequests(app)

    def begin(port: str) -> Any:
        scope: Any = {"type": "http", "client": ("192.0.2.1", port)}
        running: Any = open_requests(scope, scope, scope)
        running.send(None)
        return running

    first, second = begin("1"), begin("2")
    assert open_requests.peers() == {("192.0.2.1", "1"), ("192.0.2.1", "2")}
    with pytest.raises(StopIteration):
        first.send(None)
    assert open_requests.peers() == {("192.0.2.1", "2")}
    with pytest.raises(StopIteration):
        second.send(None)
    third = begin("2")
    assert open_requests.peers() == {("192.0.2.1", "2")}
    third.close()
    assert open_requests.peers() == set()
