"""`dragoman tenants …` and `dragoman tokens create`."""

from __future__ import annotations

import json

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


def test_update(terminal: Terminal) -> None:
    terminal.run("tenants", "create", "--slug", "acme", "--url", "https://acme.test")
    words = ["--set", "name=ACME Corporation", "url="]
    shown = terminal.run("tenants", "update", "acme", *words, "-o", "json").json()
    assert (shown["name"], shown["url"]) == ("ACME Corporation", "")
    update = ("tenants", "update", "acme", "--set")
    terminal.run(*update, "slug=main").assert_refused(4, "slug: already in use")
    terminal.run(*update, "active=no").assert_refused(2, "unknown field 'active'")
    terminal.run("tenants", "update", "main", "--set", "slug=head").assert_refused(
        1, "slug: cannot be changed"
    )


def test_deactivate_and_activate(terminal: Terminal) -> None:
    terminal.run("tenants", "create", "--slug", "acme")
    terminal.create("olga", "owner", "--tenant", "acme")
    assert terminal.sign_in("olga") == 200
    result = terminal.run("tenants", "deactivate", "acme", "nix", "-o", "json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)[0]["active"] is False
    assert "tenant 'nix' not found" in result.stderr
    assert terminal.sign_in("olga") == 400
    assert terminal.run("tenants", "activate", "acme", "-o", "json").json()["active"] is True
    assert terminal.sign_in("olga") == 200


def test_delete(terminal: Terminal) -> None:
    terminal.run("tenants", "create", "--slug", "acme")
    terminal.create("olga", "owner", "--tenant", "acme")
    terminal.run("tenants", "delete", "acme").assert_refused(4, "tenant 'acme' has users")
    terminal.run("users", "delete", "olga")
    assert terminal.run("tenants", "delete", "acme").exit_code == 0
    terminal.run("tenants", "show", "acme").assert_refused(3)
    terminal.run("tenants", "delete", "main").assert_refused(4, "'main' is the default one")
