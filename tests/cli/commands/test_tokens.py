"""`dragoman tokens list` and `tokens revoke`."""

from __future__ import annotations

from typing import Any

from tests.support.terminal import API, PASSWORD, Terminal


def tokens(terminal: Terminal, *words: str) -> list[dict[str, Any]]:
    return terminal.run("tokens", "list", *words, "-o", "json").json()


def test_list_and_revoke(terminal: Terminal) -> None:
    terminal.create("olga")
    secret = terminal.run(
        "tokens", "create", "--user", "olga", "--contract", "wiwebb"
    ).stdout.strip()
    terminal.run("tokens", "create", "--user", "admin", "--contract", "accounts")
    assert [each["username"] for each in tokens(terminal)] == ["admin", "olga"]
    assert [each["username"] for each in tokens(terminal, "--limit", "1")] == ["admin"]
    (mine,) = tokens(terminal, "--user", "olga")
    assert (mine["contract"], mine["live"]) == ("wiwebb", True)
    assert secret not in terminal.run("tokens", "list", "-o", "ndjson").stdout
    headers = {"Authorization": f"Token {secret}"}
    assert terminal.request("GET", f"{API}/auth/user/", headers=headers).status_code == 200
    result = terminal.run("tokens", "revoke", str(mine["id"]))
    assert result.stderr == f"Revoked credential {mine['id']} of user olga\n"
    assert terminal.request("GET", f"{API}/auth/user/", headers=headers).status_code == 401
    assert tokens(terminal, "--user", "olga", "--all") == []
    terminal.run("tokens", "revoke", str(mine["id"])).assert_refused(3, "not found")
    (entry,) = terminal.run("history", "--action", "tokens.revoke", "-o", "json").json()
    assert entry["target"] == "olga"


def test_revoke_ends_everything_of_the_sign_in(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.create("olga")
    body = {"email": "olga@acme.test", "password": PASSWORD}
    assert sqlite_terminal.request("POST", "/vsay/auth/login", json=body).status_code == 200
    ids = [str(each["id"]) for each in tokens(sqlite_terminal, "--user", "olga")]
    assert len(ids) == 2, "an access token and a refresh token"
    assert sqlite_terminal.run("tokens", "revoke", ids[0]).exit_code == 0
    assert tokens(sqlite_terminal, "--user", "olga", "--all") == []


def test_what_is_no_longer_valid_is_listed_with_all_only(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.create("olga")
    sqlite_terminal.run("tokens", "create", "--user", "olga", "--contract", "wiwebb")
    sqlite_terminal.run("users", "deactivate", "olga")
    assert tokens(sqlite_terminal, "--user", "olga") == []
    assert [each["live"] for each in tokens(sqlite_terminal, "--user", "olga", "--all")] == [False]
    sqlite_terminal.run("tokens", "list", "--user", "nix").assert_refused(3, "user 'nix'")
    sqlite_terminal.run("tokens", "revoke", "x").assert_refused(2)
