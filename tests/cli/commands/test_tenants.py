"""`dragoman tenants …` and `dragoman tokens create`."""

from __future__ import annotations

import pytest

from dragoman.cli.handlers import tenants
from tests.support.terminal import API, Terminal

FIELDS = {
    "id", "uuid", "slug", "name", "email", "url", "description", "active", "users", "created_at",
}  # fmt: skip


def test_create_and_show(terminal: Terminal) -> None:
    words = ["--slug", "acme", "--name", "ACME Corporation", "--email", "office@acme.test"]
    created = terminal.run("tenants", "create", *words, "-o", "json").json()
    assert created.keys() == FIELDS
    assert created["slug"] == "acme"
    assert created["name"] == "ACME Corporation"
    assert created["active"] is True
    assert created["users"] == 0
    terminal.create("olga", "owner", "--tenant", "acme")
    shown = terminal.run("tenants", "show", "ACME", "-o", "json").json()
    assert shown == {**created, "users": 1}
    terminal.run("tenants", "show", "nix").assert_refused(3, "tenant 'nix' not found")


def test_invalid_and_used_slugs(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.run("tenants", "create", "--slug", "a b").assert_refused(1, "slug: ")
    sqlite_terminal.run("tenants", "create", "--slug", "Main").assert_refused(
        4, "slug: already in use"
    )
    sqlite_terminal.run("tenants", "create").assert_refused(2, "--slug")


def test_list(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants, "PAGE_SIZE", 2)
    for slug in ("zoo", "acme"):
        assert terminal.run("tenants", "create", "--slug", slug).exit_code == 0
    slugs = [tenant["slug"] for tenant in terminal.run("tenants", "list", "-o", "json").json()]
    assert slugs == ["main", "zoo", "acme"]
    assert len(terminal.run("tenants", "list").stdout.splitlines()) == 4


def test_credential_is_the_only_output(terminal: Terminal) -> None:
    result = terminal.run("tokens", "create", "--user", "admin", "--contract", "wiwebb")
    credential = result.stdout.removesuffix("\n")
    assert result.exit_code == 0
    assert credential.isalnum()
    assert credential not in result.stderr
    headers = {"Authorization": f"Token {credential}"}
    response = terminal.request("GET", f"{API}/auth/user/", headers=headers)
    assert response.json()["username"] == "admin"


def test_credential_as_json(sqlite_terminal: Terminal) -> None:
    words = ["--user", "admin@localhost", "--contract", "wiwebb", "-o", "json"]
    created = sqlite_terminal.run("tokens", "create", *words).json()
    assert created.keys() == {"contract", "user_id", "username", "credential"}
    assert created["username"] == "admin"


def test_credential_is_refused(sqlite_terminal: Terminal) -> None:
    create = ("tokens", "create", "--contract")
    sqlite_terminal.run(*create, "wiwebb", "--user", "nix").assert_refused(
        3, "user 'nix' not found"
    )
    sqlite_terminal.run(*create, "nix", "--user", "admin").assert_refused(
        2, "contract 'nix' is not enabled", "wiwebb"
    )
    sqlite_terminal.create("mia", "member", "--inactive")
    sqlite_terminal.run(*create, "wiwebb", "--user", "mia").assert_refused(
        1, "the user is inactive"
    )
