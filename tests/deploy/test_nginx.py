"""The nginx examples in front of a real server: contracts, links and addresses through TLS."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from dragoman import dialects
from tests.support import nginx
from tests.support.clients import CLIENTS, HOSTS, Person
from tests.support.databases import SECRET_KEY, DatabaseTemplates
from tests.support.nginx import Nginx, running_nginx
from tests.support.server import Server, free_port, running_server
from tests.support.world import World

pytestmark = pytest.mark.anyio

RATE = 40
"""Requests a minute of an address without a credential."""
ADDRESSES = (f"127.0.1.{number}" for number in itertools.count(1))
"""A new client for each test, so that none uses up what another may do."""
every_contract = pytest.mark.parametrize("name", list(CLIENTS))


class Site(msgspec.Struct, frozen=True):
    """A server behind nginx, reached below ``url``."""

    url: str
    nginx: Nginx
    server: Server
    world: World

    def client(self) -> httpx.AsyncClient:
        return self.nginx.client(self.url, address=next(ADDRESSES))

    def authorization(self, contract: str) -> dict[str, str]:
        scheme = dialects.load(contract).CONTRACT.scheme
        return {"Authorization": f"{scheme} {self.world.people['root'].tokens[contract]}"}

    async def sign_in(self, http: httpx.AsyncClient, contract: str, mount: str) -> None:
        """Sign in, use the credential, and be refused with another one."""
        found = self.world.people["root"]
        root = Person(found.id, found.public_id, found.username, found.email, found.password)
        stranger: Any = CLIENTS[contract](http, mount)
        client = stranger.with_credential(await stranger.sign_in(root))
        assert await client.is_accepted(root)
        assert not await stranger.with_credential("wrong").is_accepted(root)


def site(
    templates: DatabaseTemplates,
    folder: Path,
    example: str,
    host: str,
    sub_path: str,
    **settings: str,
) -> Iterator[Site]:
    if not nginx.program():
        pytest.skip("NO NGINX CAN BE HAD: deploy/nginx IS NOT TESTED HERE")
    port, dead_port = free_port(), free_port()
    url = f"https://{host}:{port}{sub_path}"
    with templates.seeded("sqlite") as (database, world):
        environment = {
            "DRAGOMAN_DATABASE": database,
            "DRAGOMAN_SECRET_KEY": SECRET_KEY.hex(),
            "DRAGOMAN_PUBLIC_URL": url,
            "DRAGOMAN_TRUSTED_PROXIES": "127.0.0.1",
            "DRAGOMAN_ANONYMOUS_RATE": f"{RATE}/minute",
            **settings,
        }
        (folder / "server").mkdir()
        names = [host, *HOSTS]
        with running_server(environment, folder / "server") as server:
            nodes = [f"127.0.0.1:{dead_port}", f"127.0.0.1:{server.port}"]
            with running_nginx(example, nodes, folder / "nginx", port, names) as running:
                yield Site(url, running, server, world)


@pytest.fixture(scope="module")
def own_names(
    database_templates: DatabaseTemplates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    hosts = ",".join(f"{host}={name}" for host, name in HOSTS.items())
    yield from site(
        database_templates,
        tmp_path_factory.mktemp("own-names"),
        "dragoman.conf",
        "users.example.com",
        "",
        DRAGOMAN_HOSTS=hosts,
    )


@pytest.fixture(scope="module")
def sub_path(
    database_templates: DatabaseTemplates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    yield from site(
        database_templates,
        tmp_path_factory.mktemp("sub-path"),
        "dragoman-sub-path.conf",
        "www.example.com",
        "/directory",
    )


@pytest.fixture(params=["own_names", "sub_path"])
def either(request: pytest.FixtureRequest) -> Site:
    """The site of each example in turn."""
    return request.getfixturevalue(request.param)


@every_contract
@pytest.mark.parametrize("mount", ["prefix", "root"])
async def test_every_contract_through_tls(either: Site, name: str, mount: str) -> None:
    async with either.client() as http:
        await either.sign_in(http, name, mount)
        document = (await http.get(f"/{name}/openapi.json")).json()
        path = httpx.URL(either.url).path.rstrip("/")
        assert document["servers"][0]["url"] == f"{path}/{name}"
        page = await http.get(f"/{name}/", follow_redirects=True)
        assert str(page.url) == f"{either.url}/{name}/docs"
        assert page.status_code == 200


@every_contract
async def test_a_name_of_its_own_serves_one_contract(own_names: Site, name: str) -> None:
    async with own_names.client() as http:
        await own_names.sign_in(http, name, "host")
        for path in ("/metrics", "/account/verify", f"/{name}/docs"):
            answer = await http.get(path, headers={"Host": f"{name}.example.com"})
            assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/wiwebb/api/v1/users/", "/api/v1/users/"])
async def test_links_lead_back_through_nginx(either: Site, path: str) -> None:
    headers = either.authorization("wiwebb")
    async with either.client() as http:
        answer = await http.get(f"{path}?page_size=4", headers=headers)
        link = answer.json()["next"]
        assert link.startswith(f"{either.url}{path}?")
        following = await http.get(link, headers=headers)
        assert following.status_code == 200
        assert following.json()["previous"].startswith(f"{either.url}{path}?")
        assert following.json()["results"] != answer.json()["results"]


async def test_links_at_a_name_of_one_contract_stay_there(own_names: Site) -> None:
    url = own_names.url.replace("users.", "wiwebb.")
    async with own_names.nginx.client(url) as http:
        headers = own_names.authorization("wiwebb")
        link = (await http.get("/api/v1/users/?page_size=4", headers=headers)).json()["next"]
        assert link.startswith(f"{url}/api/v1/users/?")
        assert (await http.get(link, headers=headers)).status_code == 200


async def test_pages_for_people(either: Site) -> None:
    async with either.client() as http:
        page = await http.get("/account/password")
        assert page.status_code == 200
        assert 'action="' not in page.text
        answer = await http.post("/account/password", data={"email": "nobody@corp.example"})
        assert answer.status_code == 200
        contracts = (await http.get("/")).json()["contracts"]
        assert contracts["wekan"] == f"{either.url}/wekan/"


async def test_only_the_proxy_is_believed_about_addresses(either: Site) -> None:
    """A client that makes addresses up is limited by its own; others are not limited by it."""
    numbers = iter(range(1, 255))

    async def ask(http: httpx.AsyncClient) -> int:
        made_up = f"198.51.100.{next(numbers)}"
        headers = {"X-Forwarded-For": made_up, "Forwarded": f"for={made_up}", "X-Real-IP": made_up}
        return (await http.get("/wiwebb/api/v1/auth/user/", headers=headers)).status_code

    async with either.client() as http:
        said = [await ask(http) for _ in range(RATE + 2)]
        assert said == [401] * RATE + [429] * 2
    async with either.client() as http:
        assert await ask(http) == 401
    transport = httpx.AsyncHTTPTransport(local_address=next(ADDRESSES))
    async with httpx.AsyncClient(transport=transport, base_url=either.server.url) as http:
        said = [await ask(http) for _ in range(RATE + 2)]
        assert said == [401] * RATE + [429] * 2


async def test_figures_stay_inside(either: Site) -> None:
    async with either.client() as http:
        for path in (
            "/metrics",
            "//metrics",
            "/%6detrics",
            "/x/%2e%2e/metrics",
            "/directory/metrics",
        ):
            answer = await http.get(either.url + path)
            assert answer.status_code in {400, 404}, path
    assert httpx.get(f"{either.server.url}/metrics").status_code == 200


async def test_secrets_of_links_are_not_logged(either: Site) -> None:
    secret = "s3cr3t-of-a-link"
    paths = (
        f"/account/verify/{secret}",
        f"/account/password/{secret}?x={secret}",
        f"/vsay/accept/{secret}",
        f"/wiwebb/reset/{secret}/{secret}/",
        f"/vsay/v1/users/invitations/{secret}/accept/",
        f"/api/v1/users/?search={secret}",
    )
    async with either.client() as http:
        for path in paths:
            await http.get(path)
            await http.put(path)
    logged = either.nginx.access_log
    assert secret not in logged
    assert re.search(r'"GET \S*/account/verify/\.\.\." 404', logged)
    assert re.search(r'"PUT \S*/vsay/accept/\.\.\." 405', logged)
    assert re.search(r'"GET \S*/api/v1/users/" 401', logged)


async def test_a_contract_words_its_own_413(either: Site) -> None:
    body = {"username": "x" * 300 * 1024, "password": "x"}
    async with either.client() as http:
        answer = await http.post("/wiwebb/api/v1/auth/login/", json=body)
        assert answer.status_code == 413
        assert answer.headers["Content-Type"].startswith("application/json")


async def test_a_node_that_is_gone_is_not_noticed(either: Site) -> None:
    """One of the two nodes refuses every connection."""
    async with either.client() as http:
        said = {(await http.get("/healthz")).status_code for _ in range(6)}
    assert said == {200}
    assert "Connection refused" in (either.nginx.folder / "error.log").read_text()


async def test_plain_http_leads_to_tls(own_names: Site) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"http://127.0.0.1:{own_names.nginx.plain_port}/users?x=%2F",
            headers={"Host": "wekan.example.com"},
        )
    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://wekan.example.com/users?x=%2F"
    async with own_names.client() as http:
        answer = await http.get("/healthz")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_the_rest_of_a_site_is_not_touched(sub_path: Site) -> None:
    origin = sub_path.url.removesuffix("/directory")
    async with sub_path.nginx.client(origin) as http:
        for path in ("/", "/healthz", "/api/v1/users/", "/directoryx", "/wiwebb/docs"):
            answer = await http.get(path)
            assert (answer.status_code, "nginx" in answer.text) == (404, True)
        assert (await http.get("/directory")).json()["name"] == "Dragoman"
