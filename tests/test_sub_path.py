"""A public URL with a path: every address leads back below it, whether a proxy removes it or not."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import unquote, urljoin

import httpx
import msgspec
import pytest

from dragoman import app, dialects
from dragoman.settings import PARSERS, Settings
from tests.support.clients import CLIENTS, Person
from tests.support.databases import settings_for
from tests.support.mailbox import Mailbox, mailbox, text_of
from tests.support.running_app import lifespan
from tests.support.world import World

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.sqlite,
    pytest.mark.parametrize("backend", ["sqlite"]),  # where data is kept does not matter here
]

PUBLIC = "https://example.com/directory"
ME, PASSWORD = "me@corp.example", "violet-Kettle-42"
LINK = re.compile(r"https?://[^\s\"'<>]+")


class Proxy(httpx.AsyncBaseTransport):
    """Passes on what is below the sub-path, with or without it; knows nothing else."""

    def __init__(self, application: Any, sub_path: str, *, removes: bool) -> None:
        self._inner = httpx.ASGITransport(app=application)
        self._sub_path = sub_path.encode()
        self._removes = removes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path
        assert request.url.host == "example.com", request.url
        assert path.startswith((self._sub_path + b"/", self._sub_path + b"?")), request.url
        inner_path = path.removeprefix(self._sub_path) if self._removes else path
        url = request.url.copy_with(raw_path=inner_path)
        passed_on = httpx.Request(
            request.method, url, headers=request.headers, stream=request.stream
        )
        return await self._inner.handle_async_request(passed_on)


@pytest.fixture(params=["removed", "passed_on"])
def removes(request: pytest.FixtureRequest) -> bool:
    return request.param == "removed"


@contextlib.asynccontextmanager
async def behind_proxy(
    settings: Settings, *, removes: bool, public_url: str = PUBLIC
) -> AsyncGenerator[httpx.AsyncClient]:
    application = app.create(msgspec.structs.replace(settings, public_url=public_url))
    sub_path = public_url.removeprefix("https://example.com")
    async with lifespan(application):
        transport = Proxy(application, sub_path, removes=removes)
        async with httpx.AsyncClient(transport=transport, base_url=public_url) as client:
            yield client


def person(world: World, name: str) -> Person:
    found = world.people[name]
    return Person(found.id, found.public_id, found.username, found.email, found.password)


async def test_every_contract_answers(removes: bool, seeded_database: tuple[str, World]) -> None:
    """At its prefix and at the root."""
    database, world = seeded_database
    async with behind_proxy(settings_for(database), removes=removes) as http:
        for name, mount in itertools.product(CLIENTS, ("prefix", "root")):
            stranger: Any = CLIENTS[name](http, mount)
            root = stranger.with_credential(await stranger.sign_in(person(world, "root")))
            assert await root.is_accepted(person(world, "root")), (name, mount)
            wrong = stranger.with_credential("wrong")
            assert not await wrong.is_accepted(person(world, "root")), (name, mount)


async def test_docs_lead_to_addresses_below_the_path(removes: bool, settings: Settings) -> None:
    async with behind_proxy(settings, removes=removes) as http:
        for name in CLIENTS:
            for start in (f"/{name}", f"/{name}/"):
                redirect = await http.get(start)
                assert redirect.headers["Location"] == f"/directory/{name}/docs"
            await check_docs(http, name)


async def check_docs(http: httpx.AsyncClient, name: str) -> None:
    """Follow the addresses of a contract's documentation."""
    page = await http.get(f"/{name}/docs")
    assert page.status_code == 200
    addresses = re.findall(r'(?:href|src|action)="([^"#]+)"', page.text)
    assert f"/directory/{name}/openapi.json" in addresses
    for address in addresses:
        if "://" not in address:
            assert (await http.get(urljoin(str(page.url), address))).status_code == 200
    examples = re.findall(r"https?://[\w.]*example\.com[^\s\"'<&]*", page.text)
    assert examples
    assert all(example.startswith(f"{PUBLIC}/{name}") for example in examples), examples
    document = (await http.get(f"/{name}/openapi.json")).json()
    assert [server["url"] for server in document["servers"]] == [f"/directory/{name}"]


@pytest.mark.parametrize(
    "path",
    ["/wiwebb/api/v1/users/", "/api/v1/users/", "/accounts/api/users"],
)
async def test_links_to_further_pages(
    path: str, removes: bool, seeded_database: tuple[str, World]
) -> None:
    database, world = seeded_database
    name = "accounts" if "accounts" in path else "wiwebb"
    scheme = dialects.load(name).CONTRACT.scheme
    headers = {"Authorization": f"{scheme} {world.people['root'].tokens[name]}"}
    sizes = {"accounts": "limit", "wiwebb": "page_size"}
    async with behind_proxy(settings_for(database), removes=removes) as http:
        seen: list[int] = []
        url: str | None = f"{path}?{sizes[name]}=1"
        while url:
            answer = await http.get(url, headers=headers)
            assert answer.status_code == 200, answer.text
            found = answer.json()
            seen += [user["id"] for user in found["results"]]
            url = found["next"]
            assert url is None or url.startswith(f"{PUBLIC}{path}?"), url
            assert len(seen) <= found["count"]
            assert url or len(set(seen)) == found["count"]


async def mailed_page(http: httpx.AsyncClient, box: Mailbox, address: str, start: str) -> Any:
    mail = await box.next_mail_to(address)
    assert mail is not None
    (link,) = LINK.findall(text_of(mail))
    assert link.startswith(f"{PUBLIC}{start}"), link
    page = await http.get(link)
    assert page.status_code == 200, page.text
    return page


async def submit(http: httpx.AsyncClient, page: httpx.Response, **fields: str) -> httpx.Response:
    """Send the first form of a page as a browser does."""
    found = re.search(r'<form method="post"(?: action="([^"]*)")?', page.text)
    assert found
    answer = await http.post(urljoin(str(page.url), found[1] or ""), data=fields)
    assert answer.status_code == 200, answer.text
    return answer


async def test_mailed_links_and_their_forms(removes: bool, settings: Settings) -> None:
    """Prove an address, change it, undo that from the old mailbox, choose a password, sign in."""
    with mailbox() as box:
        changed = msgspec.structs.replace(settings, smtp_url=box.url)
        async with behind_proxy(changed, removes=removes) as http:
            body = {"username": "me", "email": ME, "password1": PASSWORD, "password2": PASSWORD}
            answer = await http.post("/wiwebb/api/v1/auth/registration/", json=body)
            headers = {"Authorization": f"Token {answer.json()['key']}"}
            await submit(http, await mailed_page(http, box, ME, "/account/verify/"))
            change = {"email": "thief@evil.example"}
            await http.patch("/api/v1/auth/user/", json=change, headers=headers)
            page = await submit(http, await mailed_page(http, box, ME, "/account/undo/"))
            new = "amber-Teapot-77"
            await submit(http, page, password=new, repeated_password=new)
            body = {"username": "me", "password": new}
            assert (await http.post("/api/v1/auth/login/", json=body)).status_code == 200
            lost = await http.get("/account/password")
            await submit(http, lost, email=ME)
            await mailed_page(http, box, ME, "/account/password/")
            await http.post("/wiwebb/api/v1/auth/password/reset/", json={"email": ME})
            await mailed_page(http, box, ME, "/wiwebb/")


async def test_an_invitation(removes: bool, seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    with mailbox() as box:
        settings = settings_for(database, smtp_url=box.url)
        async with behind_proxy(settings, removes=removes) as http:
            headers = {"Authorization": f"Bearer {world.people['olga'].tokens['vsay']}"}
            body = {"email": ME, "role": "member"}
            answer = await http.post("/vsay/v1/users/invite", json=body, headers=headers)
            assert answer.status_code == 201, answer.text
            page = await mailed_page(http, box, ME, "/vsay/")
            await submit(http, page, name="Me", password=PASSWORD)
            body = {"email": ME, "password": PASSWORD}
            assert (await http.post("/vsay/v1/auth/login", json=body)).status_code == 200


async def test_the_index_and_the_keys(removes: bool, seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    async with behind_proxy(settings_for(database), removes=removes) as http:
        index = (await http.get("/")).json()
        for name, url in index["contracts"].items():
            assert url == f"{PUBLIC}/{name}/"
            assert (await http.get(url)).status_code == 307
        body = {"email": world.people["mia"].email, "password": PASSWORD}
        answer = await http.post("/binacle/api/auth/token", json=body)
        parts = answer.json()["accessToken"].split(".")
        header, claims = (json.loads(urlsafe_b64decode(part + "==")) for part in parts[:2])
        assert claims["iss"] == PUBLIC
        keys = (await http.get("/.well-known/jwks.json")).json()["keys"]
        assert header["kid"] in {key["kid"] for key in keys}
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200


async def test_what_is_not_below_the_path(settings: Settings) -> None:
    """Figures are for the machine's own network, and the path is removed only once."""
    async with behind_proxy(settings, removes=False) as http:
        assert (await http.get("/metrics")).status_code == 404
        assert (await http.get("/directory/healthz")).status_code == 404
    for path in ("/directoryhealthz", "/healthz/directory", "//directory/healthz"):
        async with behind_proxy(settings, removes=False, public_url="https://example.com") as http:
            assert (await http.get(f"https://example.com{path}")).status_code == 404
    async with behind_proxy(settings, removes=True) as http:
        assert (await http.get("/metrics")).status_code == 200
        assert (await http.get("/directory/metrics")).status_code == 404


async def test_a_host_of_a_contract_has_no_sub_path(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    hosts = PARSERS["hosts"]("users.example.com=wiwebb")
    headers = {
        "Authorization": f"Token {world.people['root'].tokens['wiwebb']}",
        "Host": "users.example.com",
    }
    settings = settings_for(database, hosts=hosts)
    async with behind_proxy(settings, removes=True) as http:
        answer = await http.get("/api/v1/users/?page_size=1", headers=headers)
        assert answer.json()["next"].startswith("https://users.example.com/api/v1/users/?")
        answer = await http.get("/directory/api/v1/users/", headers=headers)
        assert answer.status_code == 404
        assert answer.json() == {"detail": "Not found."}


@pytest.mark.parametrize("sub_path", ["/a%20b", "/jörg", "/one/two"])
async def test_paths_of_other_forms(sub_path: str, removes: bool, settings: Settings) -> None:
    public_url = f"https://example.com{sub_path}"
    application: Any = app.create(msgspec.structs.replace(settings, public_url=public_url))
    inner_path = "/healthz" if removes else unquote(sub_path) + "/healthz"
    async with lifespan(application):
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            assert (await client.get(inner_path)).status_code == 200


@pytest.mark.parametrize(
    ("sub_path", "path"),
    [
        ("/api", "/api/v1/auth/user/"),
        ("/users", "/users/me"),
        ("/auth", "/auth/me"),
        ("/v1", "/v1/users"),
        ("/account", "/account/verify"),
        ("/accounts", "/accounts/api/users"),
        ("/metrics", "/metrics"),
    ],
)
async def test_a_path_that_is_ours_too_must_be_removed_by_the_proxy(
    sub_path: str, path: str, settings: Settings
) -> None:
    """The server's own paths stay reachable, as they could not be told from longer ones."""
    public_url = f"https://example.com{sub_path}"
    async with behind_proxy(settings, removes=True, public_url=public_url) as http:
        assert (await http.get(path)).status_code in {200, 401}
