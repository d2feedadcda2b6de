"""Rate limits of anonymous callers, and the client's address behind proxies."""

from __future__ import annotations

import ipaddress
import itertools
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from dragoman import app
from dragoman.rules.errors import RateLimited
from dragoman.settings import PARSERS, Rate, Settings
from dragoman.web import rate_limits
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
        assert rate_limits.client_address(incoming, Settings()) == "203.0.113.9"

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
            ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # not a trusted proxy
            ("::1", ["198.51.100.1"], "::1"),
            ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
        ],
    )
    def test_behind_trusted_proxies(self, client: str, forwarded: list[str], address: str):
        settings = trusted_proxies("10.0.0.0/8", "fd00::/8")
        assert rate_limits.client_address(request(client, *forwarded), settings) == address

    def test_addresses_are_normalized(self):
        settings = trusted_proxies("10.0.0.1")
        spelled = request("10.0.0.1", "2001:DB8:0:0:0:0:0:1")
        assert rate_limits.client_address(spelled, settings) == "2001:db8::1"

    def test_ipv4_mapped_addresses(self):
        """A dual-stack socket reports 10.0.0.1 as ::ffff:10.0.0.1."""
        settings = trusted_proxies("10.0.0.0/8")
        behind = request("::ffff:10.0.0.1", "198.51.100.1")
        assert rate_limits.client_address(behind, settings) == "198.51.100.1"

    def test_without_an_address(self):
        assert (
            rate_limits.client_address(request(None, "198.51.100.1"), trusted_proxies("10.0.0.1"))
            == ""
        )


class TestRate:
    def test_the_limit(self):
        settings, address = Settings(anonymous_rate=Rate(5, 60)), fresh_address()
        for _ in range(5):
            rate_limits.hit(settings, address)
        with pytest.raises(RateLimited) as raised:
            rate_limits.hit(settings, address)
        assert 0 < raised.value.retry_after <= 60
        rate_limits.hit(settings, fresh_address())

    def test_off(self):
        settings, address = (
            Settings(anonymous_rate=PARSERS["anonymous_rate"]("off")),
            fresh_address(),
        )
        for _ in range(500):
            rate_limits.hit(settings, address)


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
