"""`dragoman tenants …` and `dragoman tokens create`."""

from __future__ import annotations

import pytest

from dragoman.cli.handlers import tenants
from tests.cli.terminal import API, Terminal

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
    terminal.run("tenants", "show", "nix").refused(3, "there is no tenant 'nix'")


def test_what_is_wrong_and_what_is_taken(shell: Terminal) -> None:
    shell.run("tenants", "create", "--slug", "a b").refused(1, "slug: ")
    shell.run("tenants", "create", "--slug", "Main").refused(4, "slug: is taken")
    shell.run("tenants", "create").refused(2, "--slug")


def test_list(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants, "PAGE", 2)
    for slug in ("zoo", "acme"):
        assert terminal.run("tenants", "create", "--slug", slug).code == 0
    slugs = [tenant["slug"] for tenant in terminal.run("tenants", "list", "-o", "json").json()]
    assert slugs == ["main", "zoo", "acme"]
    assert len(terminal.run("tenants", "list").out.splitlines()) == 4


def test_a_credential_is_alone_on_standard_output(terminal: Terminal) -> None:
    said = terminal.run("tokens", "create", "--user", "admin", "--contract", "wiwebb")
    credential = said.out.removesuffix("\n")
    assert said.code == 0
    assert credential.isalnum()
    assert credential not in said.err
    headers = {"Authorization": f"Token {credential}"}
    answer = terminal.ask("GET", f"{API}/auth/user/", headers=headers)
    assert answer.json()["username"] == "admin"


def test_a_credential_as_json(shell: Terminal) -> None:
    words = ["--user", "admin@localhost", "--contract", "wiwebb", "-o", "json"]
    made = shell.run("tokens", "create", *words).json()
    assert made.keys() == {"contract", "user_id", "username", "credential"}
    assert made["username"] == "admin"


def test_whom_and_where_no_credential_is_for(shell: Terminal) -> None:
    create = ("tokens", "create", "--contract")
    shell.run(*create, "wiwebb", "--user", "nix").refused(3, "there is no user 'nix'")
    shell.run(*create, "nix", "--user", "admin").refused(2, "no contract 'nix' is served", "wiwebb")
    shell.create("mia", "member", "--inactive")
    shell.run(*create, "wiwebb", "--user", "mia").refused(1, "switched off")
