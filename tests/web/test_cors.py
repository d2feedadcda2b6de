"""Cross-origin requests: which pages may call the contracts from a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from dragoman import app, dialects
from dragoman.settings import PARSERS
from tests.support.databases import settings_for
from tests.support.running_app import client_for, lifespan

pytestmark = pytest.mark.anyio

ORIGIN = "https://app.example.com"
OTHER_ORIGINS = [
    "https://evil.example", "null", "http://app.example.com", "https://app.example.com:8443",
    "https://app.example.com.evil.example", "https://APP.example.com", "",
]  # fmt: skip
PREFLIGHT = {"Access-Control-Request-Method": "PATCH"}
ALLOWED_HEADERS = {"authorization", "content-type", "x-request-id"}
EXPOSED_HEADERS = {
    "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset",
    "x-request-id", "www-authenticate", "location",
}  # fmt: skip


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    path = tmp_path_factory.mktemp("cors") / "dragoman.db"
    settings = settings_for(
        f"sqlite:///{path}",
        cors_origins=(ORIGIN, "http://localhost:5173"),
        hosts=PARSERS["hosts"]("users.example.com=wiwebb"),
    )
    await app.migrate_and_bootstrap(settings)
    application: Any = app.create(settings)
    async with lifespan(application):
        yield application


@pytest.fixture
async def client(served: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for(served) as client:
        yield client


def names(answer: httpx.Response, header: str) -> set[str]:
    return {name.strip().lower() for name in answer.headers.get(header, "").split(",")}


def cors_headers(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.lower().startswith("access-control-")]


# path, host, and the methods that are documented for it
PATHS = [
    ("/wiwebb/api/v1/users/", "", {"GET", "HEAD", "POST"}),
    ("/api/v1/users/7/", "", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
    ("/api/v1/users/", "users.example.com", {"GET", "HEAD", "POST"}),
    ("/vsay/v1/users/5", "", {"GET", "HEAD", "PUT", "DELETE"}),
    ("/v1/users/5", "", {"GET", "HEAD", "PUT", "DELETE"}),
    ("/binacle/api/users/x@y.test", "", {"PUT", "PATCH", "DELETE"}),
    ("/api/users", "", {"GET", "HEAD", "POST"}),
    ("/api/users/x@y.test", "", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
    ("/vsay/auth/login", "", {"POST"}),
    ("/.well-known/jwks.json", "", {"GET", "HEAD"}),
]


class TestPreflight:
    @pytest.mark.parametrize(("path", "host", "methods"), PATHS)
    async def test_it_is_answered_before_credentials_are_asked_for(
        self, client: httpx.AsyncClient, path: str, host: str, methods: set[str]
    ):
        headers = {"Origin": ORIGIN, **PREFLIGHT, **({"Host": host} if host else {})}
        answer = await client.options(path, headers=headers)
        assert answer.status_code == 204
        assert answer.content == b""
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Methods"] == ", ".join(sorted(methods))
        assert names(answer, "Access-Control-Allow-Headers") == ALLOWED_HEADERS
        assert answer.headers["Access-Control-Max-Age"] == "600"
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers

    @pytest.mark.parametrize("origin", OTHER_ORIGINS)
    async def test_other_origins_get_none(self, client: httpx.AsyncClient, origin: str):
        answer = await client.options("/vsay/users", headers={"Origin": origin, **PREFLIGHT})
        assert answer.status_code == 401
        assert cors_headers(answer) == []

    async def test_unknown_paths_are_the_contracts_own_404(self, client: httpx.AsyncClient):
        answer = await client.options("/wiwebb/nope", headers={"Origin": ORIGIN, **PREFLIGHT})
        assert answer.status_code == 404
        assert answer.json() == {"detail": "Not found."}
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN

    async def test_it_is_not_counted_as_a_request_of_a_visitor(self, served: Any):
        async with client_for(served, address="203.0.113.70") as client:
            for _ in range(100):
                answer = await client.options(
                    "/wekan/api/user", headers={"Origin": ORIGIN, **PREFLIGHT}
                )
                assert answer.status_code == 204


class TestResponses:
    @pytest.mark.parametrize("name", dialects.NAMES)
    async def test_errors_carry_the_headers(self, client: httpx.AsyncClient, name: str):
        for method, path in (("GET", "/nope"), ("GET", "/api/users"), ("POST", "/users/login")):
            answer = await client.request(method, f"/{name}{path}", headers={"Origin": ORIGIN})
            assert answer.status_code >= 400
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert names(answer, "Access-Control-Expose-Headers") == EXPOSED_HEADERS
            assert "Access-Control-Allow-Credentials" not in answer.headers

    async def test_successes_carry_the_headers(self, client: httpx.AsyncClient):
        login = {"username": "admin", "password": "violet-Kettle-42"}
        mine = {"Origin": "http://localhost:5173"}
        answer = await client.post("/api/v1/auth/login/", json=login, headers=mine)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"

    async def test_broken_requests_carry_the_headers(self, client: httpx.AsyncClient):
        headers = {"Origin": ORIGIN, "Transfer_Encoding": "chunked"}
        answer = await client.get("/vsay/users", headers=headers)
        assert answer.status_code == 400
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN

    @pytest.mark.parametrize("origin", OTHER_ORIGINS)
    async def test_other_origins_get_none(self, client: httpx.AsyncClient, origin: str):
        answer = await client.get("/.well-known/jwks.json", headers={"Origin": origin})
        assert cors_headers(answer) == []
        assert answer.headers["Vary"] == "Origin"  # it may be cached

    async def test_two_origins_are_none(self, client: httpx.AsyncClient):
        twice = [("Origin", ORIGIN), ("Origin", ORIGIN)]
        answer = await client.get("/vsay/users", headers=twice)
        assert cors_headers(answer) == []

    @pytest.mark.parametrize("path", ["/console", "/console/users", "/account/verify/x"])
    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
    async def test_pages_for_people_never_do(
        self, client: httpx.AsyncClient, method: str, path: str
    ):
        answer = await client.request(method, path, headers={"Origin": ORIGIN, **PREFLIGHT})
        assert cors_headers(answer) == []
