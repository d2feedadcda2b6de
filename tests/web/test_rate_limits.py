"""Rate limits of anonymous callers, and the client's address behind proxies."""

from __future__ import annotations

import ipaddress
import itertools
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from dragoman import app
from dragoman.rules.client_addresses import client_network
from dragoman.rules.errors import RateLimited
from dragoman.settings import PARSERS, Rate, Settings
from dragoman.web import rate_limits
from dragoman.web.client_address import client_address, unreadable_hop
from dragoman.web.logs import log
from dragoman.web.window_storage import WindowStorage
from tests.support.databases import ADMIN_PASSWORD, settings_for
from tests.support.running_app import client_for, lifespan
from tests.support.world import API

_numbers = itertools.count(1)


def fresh_address() -> str:
    """Return an address that no other test has used: all tests share the limiter."""
    return str(ipaddress.ip_address("10.99.0.0") + next(_numbers))


def request(client: str | None, *forwarded: str, **headers: str) -> Request:
    raw = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    raw += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "headers": raw}
    if client is not None:
        scope["client"] = (client, 40_000)
    return Request(scope)


def trusted_proxies(*proxies: str) -> Settings:
    return Settings(trusted_proxies=PARSERS["trusted_proxies"](",".join(proxies)))


class TestAddress:
    def test_no_proxy_is_trusted_by_default(self):
        incoming = request(
            "203.0.113.9", "198.51.100.1", forwarded="for=1.2.3.4", x_real_ip="1.2.3.4"
        )
        assert client_address(incoming, Settings()) == "203.0.113.9"

    @pytest.mark.parametrize(
        ("client", "forwarded", "address"),
        [
            ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                ["1.1.1.1, 198.51.100.1"],
                "198.51.100.1",
            ),  # the client can forge the left end
            ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", ["198.51.100.1", "10.0.0.2, 10.0.0.3"], "198.51.100.1"),
            ("10.0.0.1", ["10.0.0.7, 10.0.0.2"], "10.0.0.7"),
            ("10.0.0.1", [" 198.51.100.1 ,10.0.0.2 "], "198.51.100.1"),
            ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", [], "10.0.0.1"),
            ("10.0.0.1", [""], "10.0.0.1"),
            ("10.0.0.1", ["unknown"], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.1, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", ["203.0.113.9:4711, 10.0.0.2:80"], "203.0.113.9"),
            ("10.0.0.1", ["[2001:db8::5]:99"], "2001:db8::5"),
            ("10.0.0.1", ["[2001:db8::5]"], "2001:db8::5"),
            ("10.0.0.1", ["[::ffff:203.0.113.9]:99"], "203.0.113.9"),
            ("10.0.0.1", ["203.0.113.9, , ,10.0.0.2,"], "203.0.113.9"),
            ("10.0.0.1", [",", "203.0.113.9", ""], "203.0.113.9"),
            ("10.0.0.1", ["203.0.113.9:port"], "10.0.0.1"),
            ("10.0.0.1", ["[203.0.113.9"], "10.0.0.1"),
            ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # not a trusted proxy
            ("::1", ["198.51.100.1"], "::1"),
            ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
        ],
    )
    def test_behind_trusted_proxies(self, client: str, forwarded: list[str], address: str):
        settings = trusted_proxies("10.0.0.0/8", "fd00::/8")
        assert client_address(request(client, *forwarded), settings) == address

    @pytest.mark.parametrize(
        ("lines", "address"),
        [
            (["for=203.0.113.9"], "203.0.113.9"),
            (['For="203.0.113.9:4711"'], "203.0.113.9"),
            (['for="[2001:db8::5]:99";proto=https;by=10.0.0.2'], "2001:db8::5"),
            (["proto=https; for=203.0.113.9"], "203.0.113.9"),
            (["for=1.1.1.1, for=203.0.113.9, for=10.0.0.2"], "203.0.113.9"),
            (["for=1.1.1.1", "for=203.0.113.9"], "203.0.113.9"),
            ([", for=203.0.113.9 ,,"], "203.0.113.9"),
            (['for="1.1.1.1, for=203.0.113.9'], "10.0.0.1"),  # a quote that is not closed
            (['for=203.0.113.9;x="a, for=1.1.1.1"'], "203.0.113.9"),
            (["for=203.0.113.9, for=unknown"], "10.0.0.1"),
            (["for=203.0.113.9, for=_hidden, for=10.0.0.2"], "10.0.0.2"),
            (["for=203.0.113.9, proto=https"], "10.0.0.1"),
            (["for=1.1.1.1;for=203.0.113.9"], "10.0.0.1"),
            (["203.0.113.9"], "10.0.0.1"),
        ],
    )
    def test_forwarded(self, lines: list[str], address: str):
        """RFC 7239; X-Forwarded-For is not read then, nor the other way round."""
        proxies = PARSERS["trusted_proxies"]("10.0.0.0/8")
        settings = Settings(trusted_proxies=proxies, forwarded="forwarded")
        raw = [(b"forwarded", line.encode()) for line in lines]
        raw.append((b"x-forwarded-for", b"198.51.100.1"))
        scope = {"type": "http", "headers": raw, "client": ("10.0.0.1", 40_000)}
        assert client_address(Request(scope), settings) == address
        assert client_address(Request(scope), trusted_proxies("10.0.0.0/8")) == "198.51.100.1"

    def test_warns_once_about_what_cannot_be_read(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(unreadable_hop, "warned", False)
        events: list[tuple[str, str]] = []
        monkeypatch.setattr(
            log, "warning", lambda event, *, value, **_: events.append((event, value))
        )
        for number in range(3):
            incoming = request("10.0.0.1", f"unknown{number}")
            client_address(incoming, trusted_proxies("10.0.0.1"))
        assert events == [("forwarded_unreadable", "unknown0")]

    def test_addresses_are_normalized(self):
        settings = trusted_proxies("10.0.0.1")
        spelled = request("10.0.0.1", "2001:DB8:0:0:0:0:0:1")
        assert client_address(spelled, settings) == "2001:db8::1"

    def test_ipv4_mapped_addresses(self):
        """A dual-stack socket reports 10.0.0.1 as ::ffff:10.0.0.1."""
        settings = trusted_proxies("10.0.0.0/8")
        behind = request("::ffff:10.0.0.1", "198.51.100.1")
        assert client_address(behind, settings) == "198.51.100.1"

    def test_without_an_address(self):
        assert client_address(request(None, "198.51.100.1"), trusted_proxies("10.0.0.1")) == ""


@pytest.mark.anyio
class TestRate:
    async def test_the_limit(self):
        settings, address = Settings(anonymous_rate=Rate(5, 60)), fresh_address()
        for _ in range(5):
            await rate_limits.hit(settings, address)
        with pytest.raises(RateLimited) as raised:
            await rate_limits.hit(settings, address)
        assert 0 < raised.value.retry_after <= 60
        await rate_limits.hit(settings, fresh_address())

    async def test_a_network_of_ipv6_is_one_client(self):
        """A customer gets a /64 at least; an IPv4-mapped address is IPv4."""
        settings = Settings(anonymous_rate=Rate(2, 60))
        await rate_limits.hit(settings, "2001:db8:1:1::1")
        await rate_limits.hit(settings, "2001:db8:1:1:ffff::2")
        with pytest.raises(RateLimited):
            await rate_limits.hit(settings, "2001:db8:1:1::3")
        await rate_limits.hit(settings, "2001:db8:1:2::1")
        address = fresh_address()
        await rate_limits.hit(settings, address)
        await rate_limits.hit(settings, f"::ffff:{address}")
        with pytest.raises(RateLimited):
            await rate_limits.hit(settings, address)

    async def test_many_addresses_do_not_slow_a_hit(self):
        """No thread walks the counters, and a hit touches a fixed number of them."""
        settings, threads = Settings(anonymous_rate=Rate(2, 60)), threading.active_count()
        for number in range(4_000):
            await rate_limits.hit(settings, f"2001:db8:7:{number:x}::1")
        assert threading.active_count() == threads
        one_network = WindowStorage()
        for number in range(4_000):
            one_network.incr(client_network(f"2001:db8:8:8::{number:x}"), 60)
        assert one_network.reset() == 1

    def test_windows_that_are_over_are_removed(self, monkeypatch: pytest.MonkeyPatch):
        clock = [1000.0]
        monkeypatch.setattr(time, "time", lambda: clock[0])
        storage = WindowStorage()
        for number in range(100):
            storage.incr(str(number), 10)
        clock[0] += 10
        assert storage.get("1") == 0
        for _ in range(60):
            storage.incr("one", 10)
        assert storage.reset() == 1

    async def test_off(self):
        settings, address = (
            Settings(anonymous_rate=PARSERS["anonymous_rate"]("off")),
            fresh_address(),
        )
        for _ in range(500):
            await rate_limits.hit(settings, address)


@pytest.mark.anyio
class TestAnonymousRate:
    @pytest.fixture
    async def application(self, tmp_path: Path):
        given = settings_for(f"sqlite:///{tmp_path}/dragoman.db", anonymous_rate=Rate(5, 60))
        await app.migrate_and_bootstrap(given)
        application: Any = app.create(given)
        async with lifespan(application):
            yield application

    @pytest.fixture
    async def client(self, application: Any):
        async with client_for(application, address=fresh_address()) as client:
            yield client

    async def test_one_limit_for_all_public_endpoints(self, client: httpx.AsyncClient):
        login = {"username": "nobody", "password": "wrong"}
        statuses = [
            (await client.get(f"{API}/users/")).status_code,
            (await client.get(f"/wiwebb{API}/users/")).status_code,
            (await client.post(f"{API}/auth/login/", json=login)).status_code,
            (
                await client.post(f"{API}/auth/password/reset/", json={"email": "x@x.test"})
            ).status_code,
            (
                await client.get(f"{API}/users/1/", headers={"Authorization": "Token " + "0" * 40})
            ).status_code,
        ]
        assert statuses == [401, 401, 400, 200, 401]
        for path in ("users/", "users/1/", "auth/login/", "tenants/me/"):
            answer = await client.get(f"{API}/{path}")
            assert answer.status_code == 429
            seconds = int(answer.headers["Retry-After"])
            assert 0 < seconds <= 60
            detail = f"Request was throttled. Expected available in {seconds} seconds."
            assert answer.json() == {"detail": detail}
            assert answer.headers["X-Request-Id"]

    async def test_unknown_paths_are_counted(self, client: httpx.AsyncClient):
        statuses = [(await client.get(f"{API}/nowhere")).status_code for _ in range(6)]
        assert statuses == [404] * 5 + [429]

    async def test_health_metrics_and_documents_are_not_counted(self, client: httpx.AsyncClient):
        paths = ("/healthz", "/readyz", "/metrics", "/wiwebb/openapi.json", "/wiwebb/docs")
        for _ in range(3):
            for path in paths:
                assert (await client.get(path)).status_code == 200
        assert (await client.get(f"{API}/users/")).status_code == 401

    async def test_requests_with_a_valid_credential_are_not_counted(
        self, client: httpx.AsyncClient
    ):
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        key = (await client.post(f"{API}/auth/login/", json=login)).json()["key"]
        mine = {"Authorization": f"Token {key}"}
        for _ in range(20):
            assert (await client.get(f"{API}/users/", headers=mine)).status_code == 200
        for _ in range(4):
            assert (await client.get(f"{API}/users/")).status_code == 401
        assert (await client.get(f"{API}/users/")).status_code == 429
        assert (await client.get(f"{API}/users/", headers=mine)).status_code == 200

    async def test_x_forwarded_for_of_an_untrusted_client_is_ignored(
        self, client: httpx.AsyncClient
    ):
        statuses = [
            (
                await client.get(f"{API}/users/", headers={"X-Forwarded-For": f"1.1.1.{n}"})
            ).status_code
            for n in range(6)
        ]
        assert statuses == [401] * 5 + [429]
