"""`dragoman users update` and `users set-tenant`."""

from __future__ import annotations

import msgspec

from dragoman.cli import options
from dragoman.rules.model import TenantChanges, UserChanges
from tests.support.terminal import Terminal


def test_update_changes_all_fields_or_none(terminal: Terminal) -> None:
    terminal.create("olga", "member")
    words = ["first_name=Olga", "last_name=O. = P.", "email=olga@new.test"]
    shown = terminal.run("users", "update", "olga", "--set", *words, "-o", "json").json()
    assert (shown["first_name"], shown["last_name"]) == ("Olga", "O. = P.")
    assert shown["email"] == "olga@new.test"
    assert shown["verified"] is True
    assert terminal.sign_in("olga@new.test") == 200
    wrong = terminal.run("users", "update", "olga", "--set", "company=ACME", "--set", "email=nix")
    wrong.assert_refused(1, "email: not a valid e-mail address")
    entries = terminal.run("history", "--user", "olga", "--action", "users.update", "-o", "json")
    assert [entry["fields"] for entry in entries.json()] == ["email first_name last_name"]


def test_update_empties_a_field_and_refuses_a_used_name(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.create("olga", "member", "--first-name", "Olga")
    sqlite_terminal.create("mia")
    update = ("users", "update", "olga", "--set")
    assert sqlite_terminal.run(*update, "first-name=", "-o", "json").json()["first_name"] == ""
    sqlite_terminal.run(*update, "username=mia").assert_refused(4, "username: already in use")
    sqlite_terminal.run(*update, "username=").assert_refused(1, "username: must not be empty")
    sqlite_terminal.run("users", "update", "nix", "--set", "bio=x").assert_refused(3, "'nix'")


def test_usage_of_set(sqlite_terminal: Terminal) -> None:
    update = ("users", "update", "admin")
    sqlite_terminal.run(*update).assert_refused(2, "--set")
    sqlite_terminal.run(*update, "--set", "bio").assert_refused(2, "'bio' is not FIELD=VALUE")
    sqlite_terminal.run(*update, "--set", "role=viewer").assert_refused(
        2, "unknown field 'role' (fields: username, email,"
    )
    sqlite_terminal.run(*update, "--set", "bio=a", "bio=b").assert_refused(
        2, "'bio' is given twice"
    )


def test_fields_are_those_of_the_model() -> None:
    fields = [each.name for each in msgspec.structs.fields(UserChanges)]
    assert [*options.USER_FIELDS, "active"] == fields
    assert {*options.TENANT_FIELDS, "active"} == {
        each.name for each in msgspec.structs.fields(TenantChanges)
    }


def test_set_tenant_leaves_everything_of_the_former_one(terminal: Terminal) -> None:
    terminal.run("tenants", "create", "--slug", "acme")
    terminal.create("olga", "member")
    terminal.run("groups", "create", "--name", "Team", "--permission", "users.change")
    terminal.run("groups", "add", "Team", "olga")
    terminal.run("permissions", "grant", "olga", "users.delete")
    headers = {"Authorization": f"Token {_token(terminal, 'olga')}"}
    assert _status(terminal, headers) == 200
    shown = terminal.run("users", "set-tenant", "olga", "ACME", "-o", "json").json()
    assert (shown["tenant"], shown["role"]) == ("acme", "member")
    assert _status(terminal, headers) == 401
    assert terminal.run("permissions", "show", "olga", "-o", "json").json() == []
    assert terminal.run("groups", "members", "Team", "-o", "json").json() == []
    assert terminal.run("tenants", "show", "acme", "-o", "json").json()["users"] == 1
    for slug in ("main", "acme"):
        words = ["history", "--tenant", slug, "--action", "users.move", "-o", "json"]
        (entry,) = terminal.run(*words).json()
        assert (entry["target"], entry["fields"]) == ("olga", "tenant")
    assert '"fail' not in terminal.run("doctor", "-o", "json").stdout  # the counters, too


def _token(terminal: Terminal, username: str) -> str:
    words = ("tokens", "create", "--user", username, "--contract", "wiwebb")
    return terminal.run(*words).stdout.strip()


def _status(terminal: Terminal, headers: dict[str, str]) -> int:
    return terminal.request("GET", "/wiwebb/api/v1/auth/user/", headers=headers).status_code


def test_set_tenant_refuses(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.create("olga", "member")
    move = ("users", "set-tenant", "olga")
    sqlite_terminal.run(*move, "nix").assert_refused(3, "tenant 'nix' not found")
    sqlite_terminal.run(*move, "--none").assert_refused(1, "this role requires one")
    sqlite_terminal.run(*move).assert_refused(2, "either SLUG or --none")
    again = sqlite_terminal.run(*move, "main", "-o", "json")
    assert again.json()["tenant"] == "main"
    assert "nothing was changed" in again.stderr


def test_the_last_superadmin_does_not_move_where_nobody_can_sign_in(
    sqlite_terminal: Terminal,
) -> None:
    for slug in ("acme", "closed"):
        sqlite_terminal.run("tenants", "create", "--slug", slug)
    sqlite_terminal.run("tenants", "deactivate", "closed")
    move = ("users", "set-tenant", "admin")
    sqlite_terminal.run(*move, "closed").assert_refused(4, "last active superadmin")
    assert sqlite_terminal.run(*move, "acme", "-o", "json").json()["tenant"] == "acme"
    sqlite_terminal.run("tenants", "deactivate", "acme").assert_refused(4, "last active superadmin")
    assert sqlite_terminal.run(*move, "--none", "-o", "json").json()["tenant"] is None
