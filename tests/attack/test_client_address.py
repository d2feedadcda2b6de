"""Limits go by what the server knows of a caller; nothing that the caller says moves them."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from dragoman import app
from dragoman.settings import PARSERS, Rate, Settings
from tests.support.clients import CLIENTS, HOSTS
from tests.support.databases import settings_for
from tests.support.running_app import client_for, lifespan, running_client
from tests.support.user_requests import SIGN_INS

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.sqlite,
    pytest.mark.parametrize(
        "backend", ["sqlite"]
    ),  # where failures are counted does not matter here
]

every_contract = pytest.mark.parametrize("name", list(CLIENTS))
LIMIT = 10
SECONDS = itertools.count(86_400)
"""No two tests share an anonymous limit, and with it what is left of it."""
SPOOFED_HEADERS = (
    "X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "Client-IP", "True-Client-IP",
    "CF-Connecting-IP", "Fastly-Client-IP", "X-Cluster-Client-IP", "X-Originating-IP",
    "X-Remote-IP", "X-Remote-Addr", "X-ProxyUser-Ip", "X-Envoy-External-Address", "X-Host",
    "X-Forwarded-Host", "X-Forwarded-User", "Via", "User-Agent", "X-Request-Id", "Cookie",
    "Accept-Language", "Origin", "Referer", "From", "X-Correlation-Id", "X-Session-Id",
)  # fmt: skip


def fresh_headers(number: int) -> dict[str, str]:
    """Return headers that were never sent before, whatever they are good for."""
    address = f"198.51.100.{number}"
    said = dict.fromkeys(SPOOFED_HEADERS, address)
    more = {
        "Forwarded": f"for={address};host=h{number}.test",
        "Cookie": f"session={number}",
        "Host": f"h{number}.example.org",
        "Authorization": f"Bearer {number:040x}",
    }
    return {**said, **more}


async def guess(
    client: httpx.AsyncClient, name: str, account: str, headers: Any, **more: Any
) -> int:
    """Try a wrong password; return what is said."""
    path, field = SIGN_INS[name]
    body = {field: account, "password": "wrong-Kettle-42"}
    answer = await client.post(path, json=body, headers=headers, **more)
    return answer.status_code


@every_contract
async def test_no_header_moves_the_limit_of_failures(name: str, settings: Settings) -> None:
    """Ten, whatever is said; and an address in the query moves nothing either."""
    account = f"nobody@{name}.test"
    async with running_client(settings) as client:
        said = [
            await guess(client, name, account, fresh_headers(n), params={"ip": f"10.0.0.{n}"})
            for n in range(LIMIT + 3)
        ]
    assert 429 not in said[:LIMIT]
    assert said[LIMIT:] == [429] * 3


async def test_no_way_in_moves_it(settings: Settings) -> None:
    """By prefix, by host, at the root, below the version, with a slash: one account, one count."""
    body = {"email": "nobody@nowhere.test", "password": "wrong-Kettle-42"}
    ways: list[tuple[str, dict[str, str]]] = [
        ("/vsay/auth/login", {}),
        ("/vsay/v1/auth/login/", {}),
        ("/auth/login", {}),
        ("/v1/auth/login/", {}),
        ("/auth/login", {"Host": "vsay.example.com"}),
        ("/wekan/users/login", {}),
        ("/users/login/", {}),
        ("/users/login", {"Host": "wekan.example.com"}),
        ("/binacle/api/auth/token", {}),
        ("/api/auth/token/", {"Host": "BINACLE.example.com:80"}),
        ("/wiwebb/api/v1/auth/login", {}),
        ("/api/v1/auth/login/", {}),
    ]
    served = settings_for(settings.database, hosts=HOSTS)
    async with running_client(served) as client:
        said = [
            (await client.post(path, json=body, headers=headers)).status_code
            for path, headers in ways
        ]
    assert set(said[:LIMIT]) <= {400, 401}, said
    assert said[LIMIT:] == [429] * (len(ways) - LIMIT)


@every_contract
async def test_no_header_moves_the_anonymous_limit(name: str, settings: Settings) -> None:
    rate = Rate(4, next(SECONDS))
    async with running_client(settings_for(settings.database, anonymous_rate=rate)) as client:
        said = [
            await guess(client, name, f"nobody{n}@{name}.test", fresh_headers(n))
            for n in range(rate.count + 3)
        ]
    assert 429 not in said[: rate.count]
    assert said[rate.count :] == [429] * 3


class TestBehindProxies:
    """Only what trusted proxies have appended counts, from the right."""

    TRUSTED = "10.0.0.0/8"

    async def outcomes(
        self, settings: Settings, proxy: str, lines: list[list[str]], attempts: int = LIMIT + 1
    ) -> list[int]:
        """Guess with these lists of addresses in turn, from a proxy's own address."""
        behind = settings_for(
            settings.database, trusted_proxies=PARSERS["trusted_proxies"](self.TRUSTED)
        )
        application: Any = app.create(behind)
        found: list[int] = []
        async with lifespan(application), client_for(application, address=proxy) as client:
            for number in range(attempts):
                given = lines[number % len(lines)]
                headers = [("X-Forwarded-For", line.format(n=number)) for line in given]
                found.append(await guess(client, "wiwebb", "nobody", headers))
        return found

    @pytest.mark.parametrize(
        "lines",
        [
            ["198.51.100.{n}, 203.0.113.7"],
            ["198.51.100.{n}", "203.0.113.7"],
            ["198.51.100.{n}, 203.0.113.7, 10.0.0.9"],
            ["198.51.100.{n}, 203.0.113.7", "10.0.0.9, 10.0.0.8"],
            ["10.0.0.{n}, 203.0.113.7"],
            ["198.51.100.{n}, ::ffff:203.0.113.7"],
            ["nonsense{n}, 203.0.113.7"],
        ],
    )
    async def test_who_invents_what_stands_before_is_one_caller(
        self, settings: Settings, lines: list[str]
    ) -> None:
        said = await self.outcomes(settings, "10.0.0.1", [lines])
        assert said == [400] * LIMIT + [429], said

    async def test_whom_the_proxy_tells_apart_are_two(self, settings: Settings) -> None:
        """Else everybody behind it would be locked out by one."""
        two = [["203.0.113.7"], ["203.0.113.8"]]
        assert await self.outcomes(settings, "10.0.0.1", two, 2 * LIMIT) == [400] * 2 * LIMIT

    @pytest.mark.parametrize("line", ["198.51.100.{n}", "198.51.100.{n}, 10.0.0.9"])
    async def test_who_is_no_proxy_is_not_believed(self, settings: Settings, line: str) -> None:
        said = await self.outcomes(settings, "203.0.113.9", [[line]])
        assert said == [400] * LIMIT + [429], said

    async def test_what_is_no_address_is_the_proxy_s(self, settings: Settings) -> None:
        """Nobody gets a count of its own for nonsense at the end."""
        said = await self.outcomes(settings, "10.0.0.1", [["203.0.113.7, unknown{n}"]])
        assert said == [400] * LIMIT + [429], said
