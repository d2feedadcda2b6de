"""Clients as they were written for the product: only their base URL is changed.

They run against the real server, on a first start with nothing prepared, behind the prefix and
at the root, where other contracts own some of the same paths.
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

from tests.support.server import Server, running_server

pytestmark = pytest.mark.usefixtures("real_hashes")

WAIT_S = 30
ID = re.compile("[23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz]{17}")
TOKEN = re.compile("[A-Za-z0-9_-]{43}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def fresh_server(blank_database: str, tmp_path: Path) -> Iterator[Server]:
    """A server on a database that was empty before, with all contracts."""
    with running_server({"DRAGOMAN_DATABASE": blank_database}, tmp_path) as server:
        yield server


@pytest.fixture(params=["", "/wekan"], ids=["root", "prefix"])
def base_url(request: pytest.FixtureRequest, fresh_server: Server) -> str:
    """The one thing that a client is told anew."""
    return fresh_server.url + request.param


class WekanLibrary:
    """As a Python library does it: signs in by a form, sends JSON with every request."""

    def __init__(self, base_url: str, username: str, password: str) -> None:
        self.base = base_url
        answer = requests.post(
            f"{base_url}/users/login",
            data={"username": username, "password": password},
            headers={"Accept": "*/*", "Content-Type": "application/x-www-form-urlencoded"},
            timeout=WAIT_S,
        )
        assert answer.status_code == 200, answer.text
        told = answer.json()
        self.user_id, self.token = told["id"], told["token"]
        assert ID.fullmatch(self.user_id)
        assert TOKEN.fullmatch(self.token)
        assert TIME.fullmatch(told["tokenExpires"])

    def fetch_json(self, path: str, method: str = "GET", payload: Any = None) -> Any:
        """Send ``{}`` where there is nothing to send, with a GET and a DELETE too."""
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self.token}"}
        answer = requests.request(
            method, self.base + path, headers=headers, json=payload or {}, timeout=WAIT_S
        )
        return answer.json()


class WekanScript:
    """As the product's own script does it: forms alone, and a base URL with a slash."""

    def __init__(self, base_url: str, token: str) -> None:
        self.base = base_url + "/"
        self.headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}

    def get(self, path: str) -> Any:
        return requests.get(self.base + path, headers=self.headers, timeout=WAIT_S).json()

    def post(self, path: str, data: dict[str, str]) -> Any:
        url = self.base + path
        return requests.post(url, data=data, headers=self.headers, timeout=WAIT_S).json()


def register(base_url: str, name: str) -> dict[str, str]:
    body = {"username": name, "email": f"{name}@example.com", "password": f"{name}-Kettle-42"}
    answer = requests.post(f"{base_url}/users/register", json=body, timeout=WAIT_S)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_library(base_url: str) -> None:
    first = register(base_url, "boss")
    boss = WekanLibrary(base_url, "boss", "boss-Kettle-42")
    assert boss.user_id == first["id"]
    me = boss.fetch_json("/api/user")
    assert (me["_id"], me["username"], me["isAdmin"]) == (boss.user_id, "boss", True)
    assert "services" not in me
    assert boss.fetch_json("/api/boards") == []
    assert boss.fetch_json(f"/api/users/{boss.user_id}/boards") == []

    new = {"username": "jane doe", "email": "jane@example.com", "password": "x"}
    jane = boss.fetch_json("/api/users", "POST", new)["_id"]
    again = boss.fetch_json("/api/users", "POST", new)
    assert (again["error"], again["reason"]) == (403, "Username already exists.")
    assert boss.fetch_json("/api/users") == [
        {"_id": boss.user_id, "username": "boss"},
        {"_id": jane, "username": "jane doe"},
    ]
    hers = WekanLibrary(base_url, "jane doe", "x")
    assert hers.fetch_json(f"/api/users/{jane}")["statusCode"] == 403

    shown = boss.fetch_json(f"/api/users/{jane}")
    assert len(shown["services"]["resume"]["loginTokens"]) == 1
    assert hers.token not in str(shown)
    off = boss.fetch_json(f"/api/user/{jane}", "PUT", {"action": "disableLogin"})
    assert off["loginDisabled"] is True
    assert off["services"]["resume"]["loginTokens"] == []
    assert hers.fetch_json("/api/user")["statusCode"] == 401
    on = boss.fetch_json(f"/api/user/{jane}", "PUT", {"action": "enableLogin"})
    assert "loginDisabled" not in on

    made = boss.fetch_json(f"/api/createtoken/{jane}", "POST")
    assert made["_id"] == jane
    hers.token = made["authToken"]
    assert hers.fetch_json("/api/user")["username"] == "jane doe"
    ended = {"userId": jane, "token": made["authToken"]}
    assert boss.fetch_json("/api/deletetoken", "POST", ended) == {"message": "Success"}
    assert hers.fetch_json("/api/user")["error"] == "Unauthorized"

    assert boss.fetch_json(f"/api/users/{jane}", "DELETE") == {"_id": jane}
    assert boss.fetch_json(f"/api/users/{jane}")["error"] == "not-found"
    assert boss.fetch_json("/users/logout", "POST") == {"message": "You've been logged out!"}
    assert boss.fetch_json("/api/user")["error"] == "Unauthorized"


def test_script(base_url: str) -> None:
    first = register(base_url, "boss")
    script = WekanScript(base_url, first["token"])
    made = script.post(
        "api/users",
        {"username": "tester", "email": "tester@example.com", "password": "tester"},
    )
    assert ID.fullmatch(made["_id"])
    assert [user["username"] for user in script.get("api/users")] == ["boss", "tester"]
    assert script.get(f"api/users/{made['_id']}")["username"] == "tester"
    assert script.get("api/user")["_id"] == first["id"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(base_url: str) -> None:
    """The document's calls in its own flags."""
    form = "username=myusername&password=mypassword&email=my@email.com"
    first = _curl(f"{base_url}/users/register", "-d", form)
    bearer = ("-H", f"Authorization: Bearer {first['token']}")
    typed = (*bearer, "-H", "Content-type:application/json")
    new = (
        '{ "username": "tester", "password": "tester",'
        ' "email": "tester@example.com", "fromAdmin": "true" }'
    )
    made = _curl(f"{base_url}/api/users", *typed, "-X", "POST", "-d", new)["_id"]
    assert _curl(f"{base_url}/users/login", "-d", "username=tester&password=tester")["id"] == made
    assert _curl(f"{base_url}/api/users/{made}", *bearer)["username"] == "tester"
    everybody = _curl(f"{base_url}/api/users", *bearer)
    assert [user["username"] for user in everybody] == ["myusername", "tester"]
    one = f"{base_url}/api/users/{made}"
    off = _curl(one, *typed, "-X", "PUT", "-d", '{ "action": "disableLogin" }')
    assert off["loginDisabled"] is True
    refused = _curl(f"{base_url}/users/login", "-d", "username=tester&password=tester")
    assert refused["error"] == "login-failed"
    on = _curl(one, *typed, "-X", "PUT", "-d", '{ "action": "enableLogin" }')
    assert on["username"] == "tester"
    assert _curl(one, *bearer, "-X", "DELETE") == {"_id": made}
    assert _curl(f"{base_url}/api/user", *bearer)["_id"] == first["id"]


def _curl(url: str, *options: str) -> Any:
    """Run curl as the document does; return what it printed."""
    command = ["curl", "-sS", "-q", "--noproxy", "*", "-m", str(WAIT_S), url, *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_what_no_client_should_send(fresh_server: Server) -> None:
    """Paths and bodies that only the real server decodes: refusals, never failures."""
    base = f"{fresh_server.url}/wekan"
    token = register(base, "boss")["token"]
    headers = {"Authorization": f"Bearer {token}"}
    for name in ("%FF", "%ED%A0%80", "%C0%80", "..", "%2e%2e", "a%2Fb", "%0d%0a", "%"):
        answer = _raw(f"{base}/api/users/{name}", headers)
        assert answer in {400, 404}, (name, answer)
    for body in (b"\xff", b"\xef\xbb\xbf{}", b'{"username": "\xed\xa0\x80"}', b"[" * 100_000):
        sent = {**headers, "Content-Type": "application/json"}
        answer = requests.post(f"{base}/api/users", data=body, headers=sent, timeout=WAIT_S)
        assert answer.status_code == 400, (body[:20], answer.text)
    head = requests.head(f"{base}/api/users", headers=headers, timeout=WAIT_S)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == "application/json"
    assert head.headers["Cache-Control"] == "no-store"


def _raw(url: str, headers: dict[str, str]) -> int:
    """Send a path as it stands and return the status."""
    options = ["-sS", "-q", "--noproxy", "*", "--path-as-is", "-o", "/dev/null", "-m", str(WAIT_S)]
    told = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["curl", *options, "-w", "%{http_code}", *told, url]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
