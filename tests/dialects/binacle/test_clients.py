"""A client as it is written for the product: only the address of the server is another one.

It runs against the real server, on a first start, behind the prefix and at the documented paths.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.support.server import Server

pytestmark = pytest.mark.usefixtures("real_hashes")

WAIT_S = 30
ADMIN, PASSWORD = "admin@site.test", "violet-Kettle-42"


class BinacleClient:
    """As much of the product's API as manages users."""

    def __init__(self, base: str, email: str, password: str) -> None:
        self.base = base
        body = {"email": email, "password": password}
        answer = requests.post(f"{base}/api/auth/token", json=body, timeout=WAIT_S)
        assert answer.status_code == 200, answer.status_code
        tokens = answer.json()
        assert list(tokens) == ["tokenType", "accessToken", "expiresIn"]
        assert tokens["expiresIn"] == 3600
        self.token: str = tokens["accessToken"]
        self.headers = {"Authorization": f"{tokens['tokenType']} {self.token}"}

    def request_status(self, method: str, path: str, body: dict[str, str] | None = None) -> int:
        """Send a request whose answer has no body, and return its status.

        At the root, who has no valid token is refused by the first contract that has the path.
        """
        answer = requests.request(
            method, f"{self.base}/api/users{path}", json=body, headers=self.headers, timeout=WAIT_S
        )
        assert not answer.content or answer.status_code in {400, 401}
        return answer.status_code


@pytest.fixture
def fresh_server(blank_database: str, tmp_path: Path) -> Iterator[Server]:
    """A server on a database that was empty before."""
    settings = {
        "DRAGOMAN_DATABASE": blank_database,
        "DRAGOMAN_ADMIN_EMAIL": ADMIN,
        "DRAGOMAN_ADMIN_PASSWORD": PASSWORD,
    }
    server = Server(settings, tmp_path)
    server.start()
    try:
        yield server
        server.stop()
    finally:
        server.kill()


def test_a_client(fresh_server: Server) -> None:
    """A life of a user, by prefix and at the root."""
    for number, base in enumerate((f"{fresh_server.url}/binacle", fresh_server.url)):
        email = f"user{number}@domain.com"
        path = f"/{email}"
        admin = BinacleClient(base, ADMIN, PASSWORD)
        assert (
            admin.request_status("POST", "", {"email": email, "password": "userspassword"}) == 201
        )
        assert (
            admin.request_status("POST", "", {"email": email, "password": "userspassword"}) == 409
        )
        user = BinacleClient(base, email, "userspassword")
        assert user.request_status("DELETE", path) == 403
        assert admin.request_status("PUT", path, {"type": "Admin"}) == 204
        assert user.request_status("DELETE", path) == 401
        user = BinacleClient(base, email, "userspassword")
        assert user.request_status("PUT", "/nobody@domain.com", {"type": "Admin"}) == 404
        assert admin.request_status("PATCH", path, {"password": "newpassword"}) == 204
        assert admin.request_status("PATCH", path, {"newPassword": "newpassword"}) == 409
        assert admin.request_status("GET", path) == 405
        user = BinacleClient(base, email, "newpassword")
        other = f"other{number}@domain.com"
        assert user.request_status("POST", "", {"email": other, "password": "userspassword"}) == 201
        assert (
            user.request_status("PUT", f"/{other}", {"type": "Admin", "status": "Inactive"}) == 204
        )
        assert user.request_status("PUT", f"/{other}", {"status": "Active"}) == 204
        assert user.request_status("DELETE", f"/{other}") == 204
        assert user.request_status("DELETE", f"/{other}") == 404
        assert user.request_status("DELETE", path) == (409 if number == 0 else 204)
        assert admin.request_status("PUT", path, {}) == 400


def test_curl(fresh_server: Server, tmp_path: Path) -> None:
    """The document's bodies, as somebody pastes them."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    api = f"{fresh_server.url}/api"

    def curl(method: str, path: str, body: str, token: str = "") -> tuple[int, str]:
        sent = tmp_path / "body.json"
        sent.write_text(body)
        command = ["curl", "-sS", "-X", method, f"{api}{path}", "--data-binary", f"@{sent}"]
        command += ["-H", "Content-Type: application/json", "-w", "\n%{http_code}"]
        command += ["-H", f"Authorization: Bearer {token}"] if token else []
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        text, _, status = done.stdout.rpartition("\n")
        return int(status), text

    def credentials(email: str, password: str) -> str:
        return f'{{\n  "email": "{email}",\n  "password": "{password}"\n}}'

    status, text = curl("POST", "/auth/token", credentials(ADMIN, PASSWORD))
    assert status == 200
    token = json.loads(text)["accessToken"]
    created = credentials("useremail@domain.com", "userspassword")
    assert curl("POST", "/users", created, token) == (201, "")
    one = "/users/useremail@domain.com"
    update = '{\n  "type": "User", // User/Admin\n  "status": "Active" // Active/Inactive\n}'
    assert curl("PUT", one, update, token) == (204, "")
    assert curl("PATCH", one, '{\n  "newPassword": "newpassword"\n}', token) == (204, "")
    assert curl("DELETE", one, "", token) == (204, "")
    assert curl("DELETE", one, "", token) == (404, "")
    assert curl("POST", "/users", created) == (401, "")


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864 only renames it
def test_a_token_can_be_verified_without_asking(fresh_server: Server) -> None:
    """By the keys that are published, and by what the product's readers find in it."""
    admin = BinacleClient(fresh_server.url, ADMIN, PASSWORD)
    assert (
        admin.request_status("POST", "", {"email": "Mia@domain.com", "password": "userspassword"})
        == 201
    )
    user = BinacleClient(fresh_server.url, "mia@domain.com", "userspassword")
    keys = requests.get(f"{fresh_server.url}/.well-known/jwks.json", timeout=WAIT_S).json()
    claims = {who: _claims(client.token, keys) for who, client in (("a", admin), ("u", user))}
    assert claims["a"]["groups"] == "Admins"
    assert claims["u"]["groups"] == "Users"
    assert claims["a"]["email"] == ADMIN
    assert claims["u"]["email"] == "Mia@domain.com"
    assert claims["u"]["sub"] != claims["a"]["sub"]
    assert claims["u"]["jti"] != claims["a"]["jti"]
    for told in claims.values():
        assert told.keys() == {
            "jti", "sub", "email", "email_verified", "tenant", "groups", "iss", "aud", "iat", "nbf",
            "exp",
        }  # fmt: skip
        assert told["tenant"] == "main"
        assert isinstance(told["email_verified"], bool)
        assert told["exp"] - told["iat"] == 3600
        assert told["iat"] - told["nbf"] == 10
        assert told["nbf"] <= time.time() + 1 < told["exp"]
        assert "@" not in told["sub"], "addresses are given to others after a deletion"
    # Whoever is there later under the same address is another person.
    assert admin.request_status("DELETE", "/mia@domain.com") == 204
    assert (
        admin.request_status("POST", "", {"email": "mia@domain.com", "password": "userspassword"})
        == 201
    )
    later = _claims(BinacleClient(fresh_server.url, "mia@domain.com", "userspassword").token, keys)
    assert later["sub"] != claims["u"]["sub"]


def _claims(token: str, keys: dict[str, Any]) -> dict[str, Any]:
    decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=["EdDSA"])
    assert decoded.header["alg"] == "EdDSA"
    return decoded.claims
