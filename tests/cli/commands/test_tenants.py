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
    made = terminal.run("tenants", "create", *words, "-o", "json").json()
    assert made.keys() == FIELDS
    assert made["slug"] == "acme"
    assert made["name"] == "ACME Corporation"
    assert made["active"] is True
    assert made["users"] == 0
    terminal.create("olga", "owner", "--tenant", "acme")
    shown = terminal.run("tenants", "show", "ACME", "-o", "json").json()
    assert shown == {**made, "users": 1}
    terminal.run("tenants", "show", "nix").assert_refused(3, "there is no tenant 'nix'")


def test_what_is_wrong_and_what_is_taken(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.run("tenants", "create", "--slug", "a b").assert_refused(1, "slug: ")
    sqlite_terminal.run("tenants", "create", "--slug", "Main").assert_refused(4, "slug: is taken")
    sqlite_terminal.run("tenants", "create").assert_refused(2, "--slug")


def test_list(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants, "PAGE_SIZE", 2)
    for slug in ("zoo", "acme"):
        assert terminal.run("tenants", "create", "--slug", slug).exit_code == 0
    slugs = [tenant["slug"] for tenant in terminal.run("tenants", "list", "-o", "json").json()]
    assert slugs == ["main", "zoo", "acme"]
    assert len(terminal.run("tenants", "list").stdout.splitlines()) == 4


def test_a_credential_is_alone_on_standard_output(terminal: Terminal) -> None:
    said = terminal.run("tokens", "create", "--user", "admin", "--contract", "wiwebb")
    credential = said.stdout.removesuffix("\n")
    assert said.exit_code == 0
    assert credential.isalnum()
    assert credential not in said.stderr
    headers = {"Authorization": f"Token {credential}"}
    answer = terminal.request("GET", f"{API}/auth/user/", headers=headers)
    assert answer.json()["username"] == "admin"


def test_a_credential_as_json(sqlite_terminal: Terminal) -> None:
    words = ["--user", "admin@localhost", "--contract", "wiwebb", "-o", "json"]
    made = sqlite_terminal.run("tokens", "create", *words).json()
    assert made.keys() == {"contract", "user_id", "username", "credential"}
    assert made["username"] == "admin"


def test_whom_and_where_no_credential_is_for(sqlite_terminal: Terminal) -> None:
    create = ("tokens", "create", "--contract")
    sqlite_terminal.run(*create, "wiwebb", "--user", "nix").assert_refused(
        3, "there is no user 'nix'"
    )
    sqlite_terminal.run(*create, "nix", "--user", "admin").assert_refused(
        2, "no contract 'nix' is served", "wiwebb"
    )
    sqlite_terminal.create("mia", "member", "--inactive")
    sqlite_terminal.run(*create, "wiwebb", "--user", "mia").assert_refused(1, "switched off")
