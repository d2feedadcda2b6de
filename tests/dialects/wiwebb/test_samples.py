"""The document's samples as its readers run them: only host, token and ids are put in.

They run against the real server, on a first start with nothing prepared, at the paths of the
document: with ``requests`` where it shows Python, with ``curl`` where it shows cURL.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.server import Server

pytestmark = pytest.mark.usefixtures("real_hashes")

WAIT_S = 30


class FreshSite:
    """A server in its first minutes, and what its operator knows of it."""

    def __init__(self, server: Server) -> None:
        self.api = f"{server.url}/api/v1"
        self.users = f"{self.api}/users/"
        said = (server.folder / "stdout").read_text()
        name, password = (
            re.findall(rf"{word}: +(\S+)", said)[0] for word in ("username", "password")
        )
        body = {"username": name, "password": password}
        login = requests.post(f"{self.api}/auth/login/", json=body, timeout=WAIT_S)
        assert login.status_code == 200, login.text
        assert len(password) >= 20
        self.token: str = login.json()["key"]
        self.headers = {"Authorization": f"Token {self.token}"}
        self.tenant = self.tenants()[0]["id"]

    def tenants(self) -> list[dict[str, Any]]:
        """Return the tenants that there are."""
        answer = requests.get(f"{self.api}/tenants/", headers=self.headers, timeout=WAIT_S)
        return answer.json()["results"]

    def john(self) -> int:
        """Make the user that the document calls 5, and return its id."""
        made = requests.post(
            self.users,
            headers=self.headers,
            json={
                "username": "john.doe",
                "email": "john.doe@example.com",
                "password": "violet-Kettle-42",
                "first_name": "John",
                "last_name": "Doe",
                "role": "subscriber",
                "tenant": self.tenant,
            },
            timeout=WAIT_S,
        )
        assert made.status_code == 201, made.text
        return made.json()["id"]


@pytest.fixture
def fresh_site(blank_database: str, tmp_path: Path) -> Iterator[FreshSite]:
    """A server on a database that was empty before."""
    # The document makes an owner whose username is "admin": the first superadmin gets another.
    settings = {"DRAGOMAN_DATABASE": blank_database, "DRAGOMAN_ADMIN_USERNAME": "root"}
    server = Server(settings, tmp_path)
    server.start()
    try:
        yield FreshSite(server)
        server.stop()
    finally:
        server.kill()


def test_python(fresh_site: FreshSite, tmp_path: Path) -> None:
    """Every Python sample, in the document's order."""
    headers = {**fresh_site.headers, "Content-Type": "application/json"}
    john = fresh_site.john()
    _list(fresh_site)
    _create(fresh_site, headers)
    _one_user(fresh_site, headers, john)
    _role_password_state(fresh_site, headers, john)
    _many(fresh_site, headers, tmp_path)
    owner = _tenant_with_owner(fresh_site, headers, "NewCo Inc", "admin@newco.com")
    _offboard(fresh_site, headers, owner)


def _list(fresh_site: FreshSite) -> None:
    everyone = requests.get(fresh_site.users, headers=fresh_site.headers, timeout=WAIT_S).json()
    assert everyone.keys() == {"count", "next", "previous", "results"}
    params: dict[str, Any] = {"tenant": fresh_site.tenant, "is_active": True}
    found = requests.get(
        fresh_site.users, headers=fresh_site.headers, params=params, timeout=WAIT_S
    )
    told = [f"{u['username']} - {u['email']} ({u['role']})" for u in found.json()["results"]]
    assert told == ["john.doe - john.doe@example.com (subscriber)"]
    off = {**params, "is_active": False}
    found = requests.get(fresh_site.users, headers=fresh_site.headers, params=off, timeout=WAIT_S)
    assert found.json()["results"] == []


JANE: dict[str, Any] = {
    "username": "jane.smith",
    "email": "jane.smith@example.com",
    "password": "SecurePassword123!",
    "first_name": "Jane",
    "last_name": "Smith",
    "role": "subscriber",
    "phone_number": "+1987654321",
    "company": "ACME Corp",
}


def _create(fresh_site: FreshSite, headers: dict[str, str]) -> None:
    jane = {**JANE, "tenant": fresh_site.tenant}
    made = requests.post(fresh_site.users, headers=headers, json=jane, timeout=WAIT_S)
    assert made.status_code == 201, made.text
    assert made.json().items() >= {k: v for k, v in jane.items() if k != "password"}.items()
    again = requests.post(fresh_site.users, headers=headers, json=jane, timeout=WAIT_S)
    assert again.status_code == 400
    assert again.json()["username"] == ["A user with that username already exists."]


def _one_user(fresh_site: FreshSite, headers: dict[str, str], user_id: int) -> None:
    url = f"{fresh_site.users}{user_id}/"
    user = requests.get(url, headers=fresh_site.headers, timeout=WAIT_S).json()
    shown = [user[key] for key in ("username", "email", "role", "tenant_name")]
    assert shown == ["john.doe", "john.doe@example.com", "subscriber", "main"]
    updates = {"phone_number": "+1111111111", "location": "New York, NY"}
    updated = requests.patch(url, headers=headers, json=updates, timeout=WAIT_S)
    assert updated.json() == {**user, **updates}


def _role_password_state(fresh_site: FreshSite, headers: dict[str, str], user_id: int) -> None:
    def post(what: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"{fresh_site.users}{user_id}/{what}/"
        return requests.post(url, headers=headers, json=body, timeout=WAIT_S).json()

    result = post("assign-role", {"role": "tenant_owner"})
    assert result["message"] == "Role updated successfully"
    assert result["user"]["role"] == "tenant_owner"
    result = post("set-password", {"password": "NewSecurePassword456!"})
    assert result["message"] == "Password updated successfully"
    assert _signs_in(fresh_site, "john.doe", "NewSecurePassword456!") == 200
    for active, word in (False, "deactivated"), (True, "activated"):
        result = post("activate", {"is_active": active})
        assert result["message"] == f"User {word} successfully"
        assert result["user"] == {"id": user_id, "username": "john.doe", "is_active": active}


def _signs_in(fresh_site: FreshSite, name: str, password: str) -> int:
    body = {"username": name, "password": password}
    return requests.post(f"{fresh_site.api}/auth/login/", json=body, timeout=WAIT_S).status_code


def _many(fresh_site: FreshSite, headers: dict[str, str], folder: Path) -> None:
    users = [
        {"username": f"user{n}", "email": f"user{n}@example.com", "password": "Password123!"}
        for n in (1, 2)
    ]
    statuses = [
        requests.post(
            fresh_site.users,
            headers=headers,
            json={**user, "role": "subscriber", "tenant": fresh_site.tenant},
            timeout=WAIT_S,
        ).status_code
        for user in (*users, users[0])
    ]
    assert statuses == [201, 201, 400]

    file = folder / "users.csv"
    file.write_text("username,email,first_name\ncsv1,csv1@example.com,Zoë\ncsv2,nobody,\n")
    imported, failed = [], []
    with file.open() as rows:
        for row in csv.DictReader(rows):
            user = {
                "username": row["username"],
                "email": row["email"],
                "password": row.get("password", "ChangeMe123!"),
                "first_name": row.get("first_name", ""),
                "last_name": row.get("last_name", ""),
                "role": row.get("role", "subscriber"),
                "tenant": fresh_site.tenant,
            }
            answer = requests.post(fresh_site.users, headers=headers, json=user, timeout=WAIT_S)
            (imported if answer.status_code == 201 else failed).append(answer.json())
    assert [user["first_name"] for user in imported] == ["Zoë"]
    assert failed == [{"email": ["Enter a valid email address."]}]
    assert _signs_in(fresh_site, "csv1", "ChangeMe123!") == 200


def _tenant_with_owner(
    fresh_site: FreshSite, headers: dict[str, str], name: str, email: str
) -> int:
    body = {"name": name, "slug": name.lower().replace(" ", "-"), "email": email}
    tenant = requests.post(f"{fresh_site.api}/tenants/", headers=headers, json=body, timeout=WAIT_S)
    assert tenant.status_code == 201, tenant.text
    assert tenant.json()["name"] == name
    owner = {
        "username": email.partition("@")[0],
        "email": email,
        "password": "TemporaryPass123!",
        "role": "tenant_owner",
        "tenant": tenant.json()["id"],
    }
    made = requests.post(fresh_site.users, headers=headers, json=owner, timeout=WAIT_S)
    assert made.status_code == 201, made.text
    assert made.json()["username"] == "admin"
    assert _signs_in(fresh_site, "admin", "TemporaryPass123!") == 200
    return made.json()["id"]


def _offboard(fresh_site: FreshSite, headers: dict[str, str], user_id: int) -> None:
    url = f"{fresh_site.users}{user_id}/"
    body = {"is_active": False}
    requests.post(f"{url}activate/", headers=headers, json=body, timeout=WAIT_S)
    assert _signs_in(fresh_site, "admin", "TemporaryPass123!") == 400
    assert requests.get(url, headers=headers, timeout=WAIT_S).json()["is_active"] is False
    gone = requests.delete(url, headers=fresh_site.headers, timeout=WAIT_S)
    assert (gone.status_code, gone.content) == (204, b"")
    assert requests.get(url, headers=headers, timeout=WAIT_S).status_code == 404


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(fresh_site: FreshSite) -> None:
    """Every cURL sample, with its own flags."""
    john = fresh_site.john()
    at = f"{fresh_site.users}{john}/"
    token = ("-H", f"Authorization: Token {fresh_site.token}")
    typed = (*token, "-H", "Content-Type: application/json")

    def names(query: str) -> list[str]:
        found = _curl("GET", fresh_site.users + query, *token)
        return [user["username"] for user in found["results"]]

    assert names("") == ["john.doe", "root"]
    assert names(f"?tenant={fresh_site.tenant}&role=subscriber") == ["john.doe"]
    assert names("?search=john&page_size=20") == ["john.doe"]
    indented = json.dumps({**JANE, "tenant": fresh_site.tenant}, indent=8)
    jane = _curl("POST", fresh_site.users, *typed, "-d", indented)
    assert (jane["username"], jane["last_login"]) == ("jane.smith", None)
    assert _curl("GET", at, *token)["email"] == "john.doe@example.com"
    body = '{\n  "phone_number": "+1111111111",\n  "location": "New York, NY"\n}'
    assert _curl("PATCH", at, *typed, "-d", body)["location"] == "New York, NY"
    role = _curl("POST", f"{at}assign-role/", *typed, "-d", '{\n  "role": "tenant_owner"\n}')
    assert role["user"]["role"] == "tenant_owner"
    body = '{\n  "password": "NewSecurePassword456!"\n}'
    done = _curl("POST", f"{at}set-password/", *typed, "-d", body)
    assert done == {"message": "Password updated successfully"}
    state = _curl("POST", f"{at}activate/", *typed, "-d", '{\n  "is_active": false\n}')
    assert state["message"] == "User deactivated successfully"
    assert _curl("DELETE", f"{fresh_site.users}{jane['id']}/", *token) is None
    assert _curl("GET", f"{fresh_site.users}{jane['id']}/", *token) == {"detail": "Not found."}


def _curl(method: str, url: str, *options: str) -> Any:
    """Run curl as the document does; return what it printed."""
    command = ["curl", "-sS", "-q", "--noproxy", "*", "-m", str(WAIT_S), "-X", method, url]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    return json.loads(done.stdout) if done.stdout else None
