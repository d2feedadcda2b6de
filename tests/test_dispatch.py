"""Dispatcher: which contract answers, by prefix, by host, and at the root."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dragoman import app
from dragoman.settings import PARSERS
from dragoman.web.responses import SECURITY_HEADERS
from tests.support.databases import settings_for
from tests.support.running_app import BASE, client_for, lifespan

pytestmark = pytest.mark.anyio

HOST = {"Host": "users.example.com"}
UNKNOWN = {"detail": "Not found."}
ANONYMOUS = {"detail": "Authentication credentials were not provided."}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def dispatcher_app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """A running application with a host of its own for wiwebb."""
    path = tmp_path_factory.mktemp("dispatch") / "dragoman.db"
    given = settings_for(
        f"sqlite:///{path}", hosts=PARSERS["hosts"]("users.example.com=wiwebb,[::1]=wiwebb")
    )
    await app.migrate_and_bootstrap(given)
    application: Any = app.create(given)
    async with lifespan(application):
        yield application


@pytest.fixture
async def client(dispatcher_app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for(dispatcher_app) as client:
        yield client


async def answer_text(client: httpx.AsyncClient, method: str, path: str, **headers: str) -> Any:
    answer = await client.request(method, path, headers=headers)
    return answer.status_code, answer.json() if answer.content else None


async def metrics(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Return the samples of /metrics by name and values of labels."""
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


@pytest.mark.parametrize(
    "hosts", [[(b"host", b"a.test"), (b"host", b"b.test")], [(b"host", b"")]], ids=["two", "none"]
)
async def test_the_response_to_an_ambiguous_message_has_security_headers(
    dispatcher_app: Any, hosts: list[tuple[bytes, bytes]]
):
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "http_version": "1.1", "headers": hosts}
    await dispatcher_app(scope, None, send)
    headers = sent[0]["headers"]
    assert sent[0]["status"] == 400
    assert (b"connection", b"close") in headers
    assert set(SECURITY_HEADERS) <= set(headers)


class TestPrefix:
    @pytest.mark.parametrize("path", ["/wiwebb/api/v1/users/", "/wiwebb/api/v1/users"])
    async def test_documented_paths(self, client: httpx.AsyncClient, path: str):
        assert await answer_text(client, "GET", path) == (401, ANONYMOUS)

    async def test_links_contain_the_prefix(self, client: httpx.AsyncClient):
        login = {"username": "admin", "password": "violet-Kettle-42"}
        for prefix in ("/wiwebb", ""):
            answer = await client.post(f"{prefix}/api/v1/auth/login/", json=login)
            mine = {"Authorization": f"Token {answer.json()['key']}"}
            for n in range(2):
                new = {"username": f"u{prefix[1:]}{n}", "email": f"{prefix[1:]}{n}@x.test"}
                more = {"password": "violet-Kettle-42", "role": "admin"}
                made = await client.post(
                    f"{prefix}/api/v1/users/", json={**new, **more}, headers=mine
                )
                assert made.status_code == 201, made.text
            page = await client.get(f"{prefix}/api/v1/users/?page_size=1", headers=mine)
            assert page.json()["next"].startswith(f"http://127.0.0.1:8000{prefix}/api/v1/users/?")

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PROPFIND"])
    async def test_undocumented_paths_get_the_contracts_404(
        self, client: httpx.AsyncClient, method: str
    ):
        for path in ("/wiwebb/nope", "/wiwebb/api/v2/users/", "/wiwebb/api", "/wiwebb/healthz"):
            assert await answer_text(client, method, path) == (404, UNKNOWN), path

    @pytest.mark.parametrize("path", ["/wiwebb", "/wiwebb/"])
    async def test_the_prefix_alone_redirects_to_the_docs(
        self, client: httpx.AsyncClient, path: str
    ):
        answer = await client.get(path, headers={"Host": "evil.example"}, follow_redirects=False)
        assert answer.status_code in {307, 302, 303}
        assert answer.headers["Location"] == "/wiwebb/docs"
        page = await client.get(path, follow_redirects=True)
        assert page.status_code == 200
        assert "text/html" in page.headers["Content-Type"]

    @pytest.mark.parametrize(
        "path", ["/WiWebb/api/v1/users/", "//wiwebb/api/v1/users/", "/wiwebbb/", "/nobody/api/v1/"]
    )
    async def test_other_prefixes(self, client: httpx.AsyncClient, path: str):
        assert (await answer_text(client, "GET", f"{BASE}{path}"))[0] == 404


class TestRoot:
    async def test_a_documented_path_is_answered_by_its_contract(self, client: httpx.AsyncClient):
        assert await answer_text(client, "GET", "/api/v1/users/") == (401, ANONYMOUS)
        assert await answer_text(client, "GET", "/api/v1/nope/") == (404, UNKNOWN)

    async def test_the_root_lists_the_contracts(self, client: httpx.AsyncClient):
        status, body = await answer_text(client, "GET", "/")
        assert status == 200
        assert body["contracts"]["wiwebb"] == "http://127.0.0.1:8000/wiwebb/"

    async def test_undocumented_paths(self, client: httpx.AsyncClient):
        wrong: list[str] = []
        for path in ("/nope", "/api/v2/users/", "/api/v11/", "/reset/x/y", "/docs", "/healthz/"):
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"):
                answer = await client.request(method, path)
                kind = answer.headers.get("Content-Type", "")
                if answer.status_code != 404 or "json" not in kind:
                    wrong.append(f"{method} {path}: {answer.status_code} {kind}")
        assert wrong == []

    async def test_health_and_metrics(self, client: httpx.AsyncClient):
        assert await answer_text(client, "GET", "/healthz") == (200, {"status": "ok"})
        status, ready = await answer_text(client, "GET", "/readyz")
        assert (status, ready["status"]) == (200, "ready")
        assert "dragoman_http_requests" in (await client.get("/metrics")).text

    async def test_every_response_is_counted_once_and_timed(self, client: httpx.AsyncClient):
        before = await metrics(client)
        asked = [("GET", "/vsay/v1/users"), ("GET", "/vsay/nope"), ("BREW", "/vsay/nope")]
        for method, path in asked:
            await client.request(method, path)
        after = await metrics(client)
        increases = {key: n - before.get(key, 0.0) for key, n in after.items()}
        counted = {
            key[2:]: n
            for key, n in increases.items()
            if key[:2] == ("dragoman_http_requests_total", "vsay") and n
        }
        assert counted == {
            ("GET", "401"): 1.0,
            ("GET", "404"): 1.0,
            ("other", "404"): 1.0,
        }
        durations = "dragoman_http_request_duration_seconds"
        assert increases[f"{durations}_count", "vsay", "GET"] == 2.0
        assert increases[f"{durations}_bucket", "vsay", "+Inf", "GET"] == 2.0
        assert increases[f"{durations}_bucket", "vsay", "0.001", "GET"] <= 2.0
        assert increases[f"{durations}_count", "vsay", "other"] == 1.0
        assert 0.0 < increases[f"{durations}_sum", "vsay", "GET"] < 30.0


class TestHost:
    async def test_links_stay_on_the_host_that_was_asked(self, client: httpx.AsyncClient):
        login = {"username": "admin", "password": "violet-Kettle-42"}
        answer = await client.post("/api/v1/auth/login/", json=login)
        mine = {"Authorization": f"Token {answer.json()['key']}"}
        new = {"username": "hosted", "email": "hosted@x.test", "role": "admin"}
        made = {**new, "password": "violet-Kettle-42"}
        assert (await client.post("/api/v1/users/", json=made, headers=mine)).status_code == 201
        path = "/api/v1/users/?page_size=1"
        for host in ("users.example.com", "USERS.example.com.:9999"):
            page = await client.get(path, headers={**mine, "Host": host})
            following = page.json()["next"]
            assert following.startswith("http://users.example.com:8000/api/v1/users/?")
            page = await client.get(following.replace(":8000", ""), headers=mine)
            back = page.json()["previous"]
            assert back.startswith("http://users.example.com:8000/api/v1/users/?")
        page = await client.get(path, headers={**mine, "Host": "other.example.com"})
        assert page.json()["next"].startswith("http://127.0.0.1:8000/api/v1/users/?")

    async def test_documented_paths(self, client: httpx.AsyncClient):
        assert await answer_text(client, "GET", "/api/v1/users/", **HOST) == (401, ANONYMOUS)

    @pytest.mark.parametrize(
        "host",
        [
            "users.example.com",
            "users.example.com:8000",
            "USERS.Example.COM:443",
            "users.example.com.",
        ],
    )
    async def test_spellings_of_the_host(self, client: httpx.AsyncClient, host: str):
        assert await answer_text(client, "GET", "/metrics", Host=host) == (404, UNKNOWN)

    @pytest.mark.parametrize("host", ["[::1]", "[::1]:8000"])
    async def test_ipv6_addresses(self, client: httpx.AsyncClient, host: str):
        assert await answer_text(client, "GET", "/metrics", Host=host) == (404, UNKNOWN)

    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    async def test_health(self, client: httpx.AsyncClient, path: str):
        assert (await answer_text(client, "GET", path, **HOST))[0] == 200

    async def test_other_paths_get_the_contracts_404(self, client: httpx.AsyncClient):
        paths = (
            "/", "/metrics", "/docs/x", "/docsx", "//docs", "/docs//", "/wiwebb/docs", "/nope", "/wiwebb/api/v1/users/", "/wiwebb",
            "/healthz/", "/api/v1x", "/api/v2/users/", "/reset/a/b", "//", "/:",
        )  # fmt: skip
        for path in paths:
            for method in ("GET", "POST", "DELETE"):
                answer = await answer_text(client, method, f"{BASE}{path}", **HOST)
                assert answer == (404, UNKNOWN), (method, path)

    async def test_docs_of_the_contract(self, client: httpx.AsyncClient):
        """They name the host itself, however it was spelt, and no prefix."""
        for path in ("/docs", "/docs/", "/docs?x=1"):
            page = await client.get(path, headers={"Host": "USERS.example.com.:9999"})
            assert page.status_code == 200
            links = re.findall(r'href="([^#][^"]*)"', page.text)
            assert links == ["/openapi.json"]
            examples = set(re.findall(r"http://[a-z.:0-9]+example\.com[^/]*/", page.text))
            assert examples == {"http://users.example.com:8000/"}
            assert "/wiwebb" not in page.text
        document = await client.get("/openapi.json", headers=HOST)
        assert [server["url"] for server in document.json()["servers"]] == ["/"]
        elsewhere = await client.get("/wiwebb/docs")
        assert "http://127.0.0.1:8000/wiwebb/api/v1/users/" in elsewhere.text
        assert "users.example.com" not in elsewhere.text

    @pytest.mark.parametrize(
        "host", ["example.com", "users.example.com.evil.example", "xusers.example.com", "["]
    )
    async def test_other_hosts_serve_all_contracts(self, client: httpx.AsyncClient, host: str):
        assert (await answer_text(client, "GET", "/wiwebb/api/v1/users/", Host=host))[0] == 401
        assert (await client.get("/metrics", headers={"Host": host})).status_code == 200


def test_an_unknown_contract_is_rejected(tmp_path: Path):
    from dragoman.settings import SettingsError

    with pytest.raises(SettingsError):
        app.create(settings_for(f"sqlite:///{tmp_path}/x.db", contracts=("nope",)))
