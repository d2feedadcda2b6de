"""Clients as they are written for VSAY Terminal: only the base URL is another one.

They run against the real server, on a first start with nothing prepared but a mail server: behind
the prefix, at the root, and below ``/v1``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.mailbox import Mailbox, mailbox, text_of
from tests.support.server import Server

pytestmark = pytest.mark.usefixtures("real_hashes")

WAIT_S = 30
PASSWORD = "violet-Kettle-42"
BASES = ("/vsay", "", "/v1", "/vsay/v1")


class RefusedResponse(Exception):
    """What the product's clients make of ``{"success": false}``."""


class VsayClient:
    """A small client: signs in, renews its token when it is told to, unwraps answers."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.session = requests.Session()
        self.refresh_token = ""

    def login(self, email: str, password: str) -> dict[str, Any]:
        return self._enter(self.post("/auth/login", email=email, password=password)["data"])

    def accept(self, token: str, **body: Any) -> dict[str, Any]:
        return self._enter(self.post(f"/users/invitations/{token}/accept", **body)["data"])

    def renew(self) -> None:
        self._enter(self.post("/auth/refresh", refresh_token=self.refresh_token)["data"])

    def _enter(self, data: dict[str, Any]) -> dict[str, Any]:
        self.refresh_token = data["refresh_token"]
        self.session.headers["Authorization"] = f"Bearer {data['token']}"
        return data.get("user", {})

    def get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", path, params=query)["data"]

    def post(self, path: str, **body: Any) -> Any:
        return self._ask("POST", path, json=body)

    def put(self, path: str, **body: Any) -> Any:
        return self._ask("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        answer = self.session.request(method, self.base + path, timeout=WAIT_S, **more)
        assert answer.headers["Content-Type"] == "application/json"
        body = answer.json()
        if not body["success"]:
            raise RefusedResponse(f"{answer.status_code} {body['error']['code']}")
        return body


class FreshSite:
    """A server in its first minutes, its mails, and the password of its first administrator."""

    def __init__(self, server: Server, box: Mailbox) -> None:
        self.url = server.url
        self.box = box
        said = (server.folder / "stdout").read_text()
        (self.password,) = re.findall(r"password: +(\S+)", said)

    async def token_for(self, email: str) -> str:
        """Return the token of the invitation that was mailed last."""
        mail = await self.box.next_mail_to(email)
        assert mail is not None
        (link,) = re.findall(r"https?://\S+", text_of(mail))
        assert link.startswith(f"{self.url}/vsay/accept/")
        page = requests.get(link, timeout=WAIT_S)
        assert page.status_code == 200
        assert email in page.text
        return urlsplit(link).path.rpartition("/")[2]


@pytest.fixture
def fresh_site(blank_database: str, tmp_path: Path) -> Iterator[FreshSite]:
    """A server on a database that was empty before."""
    with mailbox() as box:
        settings = {"DRAGOMAN_DATABASE": blank_database, "DRAGOMAN_SMTP_URL": box.url}
        server = Server(settings, tmp_path)
        server.start()
        try:
            yield FreshSite(server, box)
            server.stop()
        finally:
            server.kill()


@pytest.mark.anyio
async def test_a_life(fresh_site: FreshSite) -> None:
    """A team grows and shrinks, by every base of the paths in turn."""
    for number, base in enumerate(BASES):
        admin = VsayClient(fresh_site.url + base)
        assert admin.login("admin@localhost", fresh_site.password)["role"] == "admin"
        new, user = await _team(fresh_site, admin, f"newuser{number}@example.com")
        if number == 0:
            with pytest.raises(RefusedResponse, match="409 CONFLICT"):
                admin.delete(f"/users/{user}")  # the only admin that this organization has
            continue
        assert admin.delete(f"/users/{user}")["message"] == "User removed successfully"
        with pytest.raises(RefusedResponse, match="401 UNAUTHORIZED"):
            new.get("/users")
        with pytest.raises(RefusedResponse, match="404 NOT_FOUND"):
            admin.get(f"/users/{user}")


async def _team(fresh_site: FreshSite, admin: VsayClient, email: str) -> tuple[VsayClient, str]:
    """Invite somebody and make an admin of it; returns its client and its id."""
    body = {"email": email, "name": "New User", "role": "member"}
    invited = admin.post("/users/invite", **body, machine_ids=["mch_123", "mch_456"])
    assert invited["message"] == "Invitation sent successfully"
    assert invited["data"]["email"] == email
    first = await fresh_site.token_for(email)
    with pytest.raises(RefusedResponse, match="409 CONFLICT"):
        admin.post("/users/invite", **body)
    resent = admin.post(f"/users/invitations/{invited['data']['invitation_id']}/resend")
    assert resent == {"success": True, "message": "Invitation resent successfully"}
    token = await fresh_site.token_for(email)
    new = VsayClient(admin.base)
    with pytest.raises(RefusedResponse, match="404 NOT_FOUND"):
        new.get(f"/users/invitations/{first}")
    assert new.get(f"/users/invitations/{token}")["email"] == email
    user = new.accept(token, password=PASSWORD)
    assert (user["name"], user["role"]) == ("New User", "member")
    assert new.get("/auth/me")["id"] == user["id"]
    _as_member(new, user["id"])
    _as_admin(admin, user["id"], email)
    with pytest.raises(RefusedResponse, match="401 UNAUTHORIZED"):
        new.renew()
    assert new.login(email, PASSWORD)["role"] == "admin"
    return new, user["id"]


def _as_member(new: VsayClient, own: str) -> None:
    new.renew()
    assert "member" in {u["role"] for u in new.get("/users", limit=100)["users"]}
    assert new.get(f"/users/{own}")["machine_access"] == [
        {"machine_id": "mch_123", "access_level": "full"},
        {"machine_id": "mch_456", "access_level": "full"},
    ]
    with pytest.raises(RefusedResponse, match="403 FORBIDDEN"):
        new.put(f"/users/{own}", name="Somebody Else")


def _as_admin(admin: VsayClient, user: str, email: str) -> None:
    access = [{"machine_id": "mch_123", "access_level": "read_only"}]
    done = admin.put(f"/users/{user}/permissions", machine_access=access)
    assert done == {"success": True, "message": "Permissions updated successfully"}
    assert admin.get(f"/users/{user}")["machine_access"] == access
    changed = admin.put(f"/users/{user}", name="John Smith", role="admin")
    assert changed["message"] == "User updated successfully"
    assert (changed["data"]["name"], changed["data"]["role"]) == ("John Smith", "admin")
    found = admin.get("/users", page=1, limit=20, role="admin", search=f"john {email}")
    assert [u["email"] for u in found["users"]] == [email]
    assert found["pagination"] == {"page": 1, "limit": 20, "total": 1}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(fresh_site: FreshSite) -> None:
    """The same by hand, with the headers that the document shows."""
    body = json.dumps({"email": "admin@localhost", "password": fresh_site.password})
    typed = ("-H", "Content-Type: application/json")
    entered = _curl("POST", f"{fresh_site.url}/auth/login", *typed, "-d", body)
    token = ("-H", f"Authorization: Bearer {entered['data']['token']}")
    users = f"{fresh_site.url}/users"
    assert _curl("GET", users, *token)["data"]["pagination"] == {"page": 1, "limit": 20, "total": 0}
    body = '{\n  "email": "newuser@example.com",\n  "role": "viewer"\n}'
    made = _curl("POST", f"{users}/invite", *token, *typed, "-d", body)
    assert made["message"] == "Invitation sent successfully"
    invitation_url = f"{users}/invitations/{made['data']['invitation_id']}"
    listed = _curl("GET", f"{users}/invitations", *token)["data"]["invitations"]
    assert [each["status"] for each in listed] == ["pending"]
    resent = _curl("POST", f"{invitation_url}/resend", *token)
    assert resent == {"success": True, "message": "Invitation resent successfully"}
    assert _curl("DELETE", invitation_url, *token)["message"] == "Invitation revoked successfully"
    own = _curl("GET", f"{fresh_site.url}/auth/me", *token)["data"]["id"]
    assert _curl("GET", f"{users}/{own}", *token)["data"]["status"] == "active"
    assert _curl("DELETE", f"{users}/{own}", *token)["error"]["code"] == "CONFLICT"
    gone = _curl("POST", f"{fresh_site.url}/v1/auth/logout", *token)
    assert gone == {"success": True, "message": "Logged out successfully"}
    assert _curl("GET", users, *token)["error"]["code"] == "UNAUTHORIZED"


def _curl(method: str, url: str, *options: str) -> Any:
    """Run curl and return what it printed."""
    command = ["curl", "-sS", "-q", "--noproxy", "*", "-m", str(WAIT_S), "-X", method, url]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)
