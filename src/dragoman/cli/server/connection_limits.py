"""Limits of clients' connections: how long they may be idle, and how many one address may have.

Granian has one timeout for a request's headers, which includes the time between requests, and one
number of connections for all clients. A thread of each worker looks at the connections every
second and ends those beyond the limits. While an address has as many connections as it may have, a
filter drops its new ones in the kernel, so that it cannot fill the worker between two looks.
Decision 0026 has the measurements.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.cli.server import connections, syn_filter
from dragoman.cli.server.connections import Connection, Peer
from dragoman.cli.server.syn_filter import Network
from dragoman.web.logs import log, throttle

INTERVAL_S = 1.0
"""Time between two looks at the connections (seconds)."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What clients may do.

    Attributes:
        keep_alive_s: seconds for which a connection may be idle between requests.
        header_s: seconds for which a request's headers may arrive, once they have begun.
        per_address: maximum number of connections of an address; 0: no limit.
        exempt: networks that this maximum does not apply to.
        workers: the number of processes that listen on the port.
    """

    keep_alive_s: float
    header_s: float
    per_address: int = 0
    exempt: Collection[Network] = ()
    workers: int = 1


class ConnectionReview:
    """Decides which connections end, and which networks may open no more.

    Args:
        limits: the limits.
        count_all: returns the connections of each network over all workers.
    """

    def __init__(self, limits: Limits, count_all: Callable[[], Counter[Network]]) -> None:
        self._limits = limits
        self._count_all = count_all
        self._begun: dict[Peer, float] = {}
        self._networks: dict[str, Network | None] = {}
        self.full: set[Network] = set()
        """Networks that have as many connections as they may have."""

    def review(
        self, found: Iterable[Connection], open_requests: Collection[Peer], now: float
    ) -> list[Connection]:
        """Return the connections to end; ``now`` is a monotonic time (seconds)."""
        found = list(found)
        return [
            *self._expired(found, open_requests, now),
            *self._beyond_address_limit(found, open_requests),
        ]

    def _expired(
        self, found: list[Connection], open_requests: Collection[Peer], now: float
    ) -> list[Connection]:
        expired: list[Connection] = []
        begun: dict[Peer, float] = {}
        for connection in found:
            if connection.peer in open_requests:
                continue
            if connection.has_begun:
                since = begun[connection.peer] = self._begun.get(connection.peer, now)
                is_expired = now - since >= self._limits.header_s
            else:
                is_expired = connection.since_sent >= self._limits.keep_alive_s
            if is_expired:
                expired.append(connection)
        self._begun = begun
        return expired

    def _beyond_address_limit(
        self, found: list[Connection], open_requests: Collection[Peer]
    ) -> list[Connection]:
        maximum = self._limits.per_address
        if not maximum:
            return []
        groups = self._by_network(found)
        share = maximum // self._limits.workers
        near = {network for network, group in groups.items() if len(group) >= share} | self.full
        if not near:
            return []
        counts = {network: len(groups[network]) for network in near}
        totals = self._count_all() if self._limits.workers > 1 else counts
        self.full = {network for network in near if totals[network] >= maximum}
        beyond: list[Connection] = []
        for network in self.full:
            total, group = totals[network], groups[network]
            # Those without a request end first, and among them those that were silent longest.
            group.sort(
                key=lambda each: (
                    each.has_begun or each.peer in open_requests,
                    -each.since_received,
                )
            )
            excess = math.ceil((total - maximum) * len(group) / total)
            beyond += group[:excess]
        return beyond

    def _by_network(self, found: list[Connection]) -> defaultdict[Network, list[Connection]]:
        groups: defaultdict[Network, list[Connection]] = defaultdict(list)
        networks: dict[str, Network | None] = {}
        for connection in found:
            host = connection.peer[0]
            if host not in networks:
                known = host in self._networks
                networks[host] = self._networks[host] if known else self._counted_network(host)
            network = networks[host]
            if network is not None:
                groups[network].append(connection)
        self._networks = networks
        return groups

    def _counted_network(self, host: str) -> Network | None:
        address = connections.address_of(host)
        is_exempt = any(address in network for network in self._limits.exempt)
        return None if is_exempt else connections.network_of(address)


class ConnectionMonitor:
    """Ends the connections of this process that are beyond the limits.

    Args:
        port: the port to which clients connect.
        limits: the limits.
        open_requests: returns the clients whose requests are being answered.
    """

    def __init__(
        self, port: int, limits: Limits, open_requests: Callable[[], Collection[Peer]]
    ) -> None:
        self._port = port
        self._open_requests = open_requests
        self._review = ConnectionReview(limits, lambda: connections.connections_by_network(port))
        self._full: set[Network] = set()
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Look at the connections in a thread, until ``stop``."""
        threading.Thread(target=self._run, name="connections", daemon=True).start()

    def stop(self) -> None:
        """Leave the connections and the filter alone from now on."""
        with self._lock:
            self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            try:
                with self._lock:
                    self.look()
            except OSError as error:  # no /proc, or no free file descriptor
                if throttle.should_log("connections") is not None:
                    log.warning("connections_unknown", reason=error.strerror)

    def look(self) -> None:
        """End what is beyond the limits now. Raises OSError."""
        if self._stopped.is_set():
            return
        # In this order: of a request that begins in between, too little is known to end it.
        found = connections.client_connections(self._port)
        open_requests = self._open_requests()
        for connection in self._review.review(found, open_requests, time.monotonic()):
            with contextlib.suppress(OSError):  # closed meanwhile
                connections.shut_down(connection)
        full = set(self._review.full)
        if full != self._full:
            for network in full - self._full:
                if (unsaid := throttle.should_log("address_full")) is not None:
                    log.warning("address_full", address=str(network), unsaid=unsaid)
            for listener in syn_filter.listening_sockets(self._port):
                syn_filter.attach(listener, syn_filter.drop_from(full))
            self._full = full


class OpenRequests:
    """An ASGI application that knows whose requests another one is answering.

    A request costs one entry in a dictionary: the other application's coroutine, which has no
    frame any more when it has ended. ``peers`` removes those.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._coroutines: dict[Peer, Any] = {}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request; a connection has one at a time."""
        coroutine = self._app(scope, receive, send)
        if scope["type"] == "http":
            self._coroutines[scope["client"]] = coroutine
        return coroutine

    def peers(self) -> set[Peer]:
        """Return the clients whose requests are open; may be called from another thread."""
        known = self._coroutines.copy()
        ended = [peer for peer, coroutine in known.items() if coroutine.cr_frame is None]
        for peer in ended:
            newer = self._coroutines.pop(peer)
            if newer is not known[peer]:  # the next request of this connection has begun
                self._coroutines[peer] = newer
        return known.keys() - ended
