"""A client as it was written for the real product: nothing but its base URL is another one.

It runs against the real server, on a first start with nothing prepared, at the documented paths,
behind the prefix, and with an address that ends with a slash.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.server import Server, free_port, running_server

pytestmark = pytest.mark.usefixtures("real_hashes")

WAIT_S = 30
SIGN_UP = {
    "first_name": "kaveh",
    "last_name": "mehrbanian",
    "username": "kavehkm",
    "password": "s3cret",
    "email": "mehrbaniankaveh@gmail.com",
}


class AccountsClient:
    """The client: a session that remembers its token."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False

    def call(self, method: str, path: str = "", **options: Any) -> requests.Response:
        return self.session.request(method, self.base + path, timeout=WAIT_S, **options)

    def sign_in(self, username: str, password: str) -> dict[str, Any]:
        r = self.call("POST", "/signin", json={"username": username, "password": password})
        r.raise_for_status()
        self.session.headers["Authorization"] = f"Token {r.json()['token']}"
        return r.json()

    def list_users(self, limit: int) -> Iterator[dict[str, Any]]:
        page = self.call("GET", params={"limit": limit}).json()
        while True:
            yield from page["results"]
            if page["next"] is None:
                return
            page = self.session.get(page["next"], timeout=WAIT_S).json()


@pytest.fixture
def fresh_server(blank_database: str, tmp_path: Path) -> Iterator[Server]:
    """A server on a database that was empty before; its links are its own address."""
    server = Server({"DRAGOMAN_DATABASE": blank_database}, tmp_path)
    server.port = free_port()
    server.environment["DRAGOMAN_PUBLIC_URL"] = server.url
    server.start()
    try:
        yield server
        server.stop()
    finally:
        server.kill()


def administrator(fresh_server: Server, base: str) -> AccountsClient:
    """Return the client of the first superadmin, whose password was printed at the first start."""
    said = (fresh_server.folder / "stdout").read_text()
    password = re.findall(r"password: +(\S+)", said)[0]
    client = AccountsClient(base)
    client.sign_in("admin", password)
    return client


@pytest.mark.parametrize("prefix", ["", "/accounts"])
def test_a_client_for_a_whole_life(fresh_server: Server, prefix: str) -> None:
    """Every example of the document, in its order, and what a program does with the answers."""
    base = f"{fresh_server.url}{prefix}/api/users"
    client, admin = AccountsClient(base), administrator(fresh_server, base)
    r = client.call("POST", "/signup", json=SIGN_UP)
    assert r.status_code == 201
    kaveh = r.json()
    assert list(kaveh) == [
        "id", "first_name", "last_name", "email", "username", "person", "groups", "permissions",
    ]  # fmt: skip
    assert client.call("GET").status_code == 401
    signed_in = client.sign_in("kavehkm", "s3cret")
    assert signed_in == {**kaveh, "token": signed_in["token"]}
    assert re.fullmatch("[0-9a-f]{40}", signed_in["token"])

    assert client.call("GET").json()["results"] == [kaveh]
    assert client.call("GET", params={"limit": 50, "offset": 10}).json()["results"] == []
    at = f"/{kaveh['id']}"
    assert client.call("GET", at).json() == kaveh
    changed = client.call("PUT", at, json={"first_name": "kaweh"})
    assert (changed.status_code, changed.json()) == (200, {**kaveh, "first_name": "kaweh"})

    assert client.call("GET", f"{at}/permissions").json() == []
    own = client.call("PUT", f"{at}/permissions", json={"permissions": [1, 2, 3]})
    assert own.status_code == 403
    granted = admin.call("PUT", f"{at}/permissions", json={"permissions": [1, 2, 3]})
    assert [one["id"] for one in granted.json()] == [1, 2, 3]
    removed = admin.call("DELETE", f"{at}/permissions", json={"permissions": [2, 3]})
    assert (removed.status_code, removed.json()) == (200, granted.json()[:1])
    form = admin.call("PUT", f"{at}/permissions", data={"permissions": [4, 5]})
    assert [one["id"] for one in form.json()] == [1, 4, 5]
    assert client.call("GET", at).json()["permissions"] == [1, 4, 5]

    for n in range(6):
        r = client.call("POST", "/signup", data={"username": f"more{n}", "password": "s3cret"})
        assert r.status_code == 201, r.text
    names = [user["username"] for user in client.list_users(limit=3)]
    assert names == ["kavehkm", *(f"more{n}" for n in range(6))]

    gone = client.call("DELETE", at)
    assert (gone.status_code, gone.content) == (204, b"")
    assert client.call("GET", at).status_code == 401
    assert admin.call("GET", at).status_code == 404


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(blank_database: str, tmp_path: Path) -> None:
    """The same by hand, with the slash that habit adds, and bodies that curl makes."""
    with running_server({"DRAGOMAN_DATABASE": blank_database}, tmp_path) as server:
        base = f"{server.url}/api/users"
        typed = ("-H", "Content-Type: application/json")
        new = curl("POST", f"{base}/signup/", *typed, "-d", json.dumps(SIGN_UP))
        assert new["username"] == "kavehkm"
        form = ("-d", "username=kavehkm", "-d", "password=s3cret")
        token = curl("POST", f"{base}/signin/", *form)["token"]
        by = ("-H", f"Authorization: Token {token}")
        assert curl("GET", f"{base}/", *by)["count"] == 1
        at = f"{base}/{new['id']}"
        assert curl("PUT", f"{at}/", *by, "-F", "first_name=kaweh")["first_name"] == "kaweh"
        refused = curl("PUT", at, *by, "-d", "password=new")
        assert refused == {"current_password": ["This field is required."]}
        assert curl("PUT", at, *by, "-d", "password=new&current_password=s3cret")["id"] == new["id"]
        assert curl("GET", f"{at}/permissions/", *by) == []
        assert curl("DELETE", f"{at}/", *by) is None
        assert curl("GET", f"{at}/", *by) == {"detail": "Invalid token."}


def curl(method: str, url: str, *options: str) -> Any:
    """Run curl; return what it printed."""
    command = ["curl", "-sS", "-q", "--noproxy", "*", "-m", str(WAIT_S), "-X", method, url]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    return json.loads(done.stdout) if done.stdout else None
