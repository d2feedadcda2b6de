"""`dragoman permissions …` and `dragoman groups …`."""

from __future__ import annotations

import pytest

from dragoman.cli.handlers import groups as group_handlers
from dragoman.rules.policy import PERMISSION_CATALOGUE
from tests.support.terminal import CommandResult, Terminal

FIELDS = {"id", "name", "tenant", "members", "permissions"}
COMMANDS = [
    "permissions", "permissions list", "permissions show", "permissions grant",
    "permissions revoke", "groups", "groups list", "groups create", "groups delete", "groups add",
    "groups remove", "groups permit", "groups forbid",
]  # fmt: skip


def codenames(result: CommandResult) -> list[str]:
    return [each["codename"] for each in result.json()]


def create(terminal: Terminal, name: str, *words: str) -> dict[str, object]:
    return terminal.run("groups", "create", name, *words, "-o", "json").json()


@pytest.mark.parametrize("command", COMMANDS)
def test_help(sqlite_terminal: Terminal, command: str) -> None:
    result = sqlite_terminal.run(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"Usage: dragoman {command}" in result.stdout


# --------------------------------------------------------------------------- permissions


def test_list_of_permissions(terminal: Terminal) -> None:
    found = terminal.run("permissions", "list", "-o", "json").json()
    assert found == [
        {"id": n, "codename": code, "name": name} for n, code, name, _ in PERMISSION_CATALOGUE
    ]
    lines = terminal.run("permissions", "list").stdout.splitlines()
    assert lines[0].split() == ["id", "codename", "name"]
    assert lines[1].split(maxsplit=2) == ["1", "users.view", PERMISSION_CATALOGUE[0][2]]


def test_grant_show_revoke(terminal: Terminal) -> None:
    """The result is shown, ordered by id; repeating a change has no effect."""
    mia = terminal.create("mia", "member", "-o", "json").json()
    words = ("permissions", "grant", "mia", "users.delete", "users.change")
    assert codenames(terminal.run(*words, "-o", "json")) == ["users.change", "users.delete"]
    assert codenames(terminal.run(*words, "-o", "json")) == ["users.change", "users.delete"]
    for name in "mia", "mia@acme.test", str(mia["id"]):
        shown = terminal.run("permissions", "show", name, "-o", "json")
        assert codenames(shown) == ["users.change", "users.delete"]
    left = terminal.run("permissions", "revoke", "mia", "users.change", "-o", "ndjson").lines()
    assert [each["codename"] for each in left] == ["users.delete"]
    assert codenames(terminal.run("permissions", "show", "admin", "-o", "json")) == []


def test_unknown_codename_changes_nothing(terminal: Terminal) -> None:
    terminal.create("mia")
    for verb in "grant", "revoke":
        result = terminal.run("permissions", verb, "mia", "users.change", "nix", "nox")
        result.assert_refused(3, "permission 'nix' not found", "'nox'", "dragoman permissions list")
    assert codenames(terminal.run("permissions", "show", "mia", "-o", "json")) == []
    terminal.run("permissions", "grant", "nix", "users.change").assert_refused(
        3, "user 'nix' not found"
    )
    terminal.run("permissions", "show", "nix").assert_refused(3, "user 'nix' not found")
    terminal.run("permissions", "grant", "mia").assert_refused(2, "CODENAME")


# --------------------------------------------------------------------------- groups


def test_create_and_list(terminal: Terminal) -> None:
    """Groups are created in the default tenant unless another one is given."""
    assert terminal.run("tenants", "create", "--slug", "acme").exit_code == 0
    words = ("--permission", "users.change", "--permission", "users.view")
    desk = create(terminal, "Desk", "--tenant", "acme", *words)
    assert desk.keys() == FIELDS
    assert (desk["name"], desk["tenant"], desk["members"]) == ("Desk", "acme", 0)
    assert desk["permissions"] == ["users.view", "users.change"]
    other = create(terminal, "Desk")
    assert (other["tenant"], other["permissions"]) == ("main", [])
    assert terminal.run("groups", "list", "-o", "json").json() == [desk, other]
    assert terminal.run("groups", "list", "--tenant", "acme", "-o", "json").json() == [desk]
    head, line, _ = terminal.run("groups", "list").stdout.splitlines()
    assert head.split() == ["id", "name", "tenant", "members", "permissions"]
    assert line.split() == [str(desk["id"]), "Desk", "acme", "0", "users.view", "users.change"]
    renamed = terminal.run("groups", "list", "-o", "json", DRAGOMAN_TENANT="nix")
    assert len(renamed.json()) == 2


def test_invalid_and_used_names(sqlite_terminal: Terminal) -> None:
    create(sqlite_terminal, "Desk")
    sqlite_terminal.run("groups", "create", "DESK").assert_refused(4, "name: already in use")
    sqlite_terminal.run("groups", "create", "17").assert_refused(
        1, "name: must not consist of digits only"
    )
    sqlite_terminal.run("groups", "create", " ").assert_refused(1, "name: must not be empty")
    sqlite_terminal.run("groups", "create", "X", "--tenant", "nix").assert_refused(
        3, "tenant 'nix' not found"
    )
    sqlite_terminal.run("groups", "create", "X", "--permission", "nix").assert_refused(
        3, "permission 'nix' not found"
    )
    sqlite_terminal.run("groups", "create").assert_refused(2, "NAME")
    assert len(sqlite_terminal.run("groups", "list", "-o", "json").json()) == 1


def test_reference_by_id_or_by_name_within_a_tenant(terminal: Terminal) -> None:
    assert terminal.run("tenants", "create", "--slug", "acme").exit_code == 0
    here, there = create(terminal, "Desk"), create(terminal, "Desk", "--tenant", "acme")
    for words, group in (
        (("desk",), here),
        (("DESK", "--tenant", "acme"), there),
        ((str(there["id"]),), there),
        ((str(there["id"]), "--tenant", "main"), there),
    ):
        result = terminal.run(
            "groups", "permit", *words[:1], "users.view", *words[1:], "-o", "json"
        )
        assert result.json()["id"] == group["id"], words
    for verb in (["permit", "{}", "users.view"], ["forbid", "{}", "users.view"], ["delete", "{}"]):
        for wrong in "nix", "99999", "9" * 30:
            result = terminal.run("groups", *(word.format(wrong) for word in verb))
            result.assert_refused(3, "group ", wrong, "not found")


def test_permit_and_forbid(terminal: Terminal) -> None:
    create(terminal, "Desk")
    result = terminal.run("groups", "permit", "Desk", "users.view", "users.change", "-o", "json")
    assert result.json()["permissions"] == ["users.view", "users.change"]
    terminal.run("groups", "permit", "Desk", "users.delete", "nix").assert_refused(3, "'nix'")
    result = terminal.run("groups", "forbid", "Desk", "users.view", "-o", "json")
    assert result.json()["permissions"] == ["users.change"]
    lines = terminal.run("groups", "permit", "Desk", "users.view").stdout.splitlines()
    assert lines[-1].split() == ["permissions", "users.view", "users.change"]


def test_add_and_remove(terminal: Terminal) -> None:
    """Each user is changed separately; messages go to standard error."""
    create(terminal, "Desk", "--permission", "users.change")
    for name in "mia", "gus":
        terminal.create(name)
    result = terminal.run("groups", "add", "Desk", "mia", "gus@acme.test")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Added mia to group Desk" in result.stderr
    assert "already" in terminal.run("groups", "add", "Desk", "mia").stderr
    assert terminal.run("groups", "list", "-o", "json").json()[0]["members"] == 2
    assert codenames(terminal.run("permissions", "show", "mia", "-o", "json")) == []
    result = terminal.run("groups", "remove", "Desk", "mia", "nix", "gus")
    assert result.exit_code == 5
    assert "nix: user 'nix' not found" in result.stderr
    assert "2 of 3 changes succeeded" in result.stderr
    assert terminal.run("groups", "list", "-o", "json").json()[0]["members"] == 0
    assert "mia is not in group Desk" in terminal.run("groups", "remove", "Desk", "mia").stderr


def test_users_that_cannot_be_added(terminal: Terminal) -> None:
    create(terminal, "Desk")
    assert terminal.run("tenants", "create", "--slug", "acme").exit_code == 0
    terminal.create("gus", "member", "--tenant", "acme")
    for name in "gus", "admin":
        result = terminal.run("groups", "add", "Desk", name)
        result.assert_refused(1, f"{name} does not belong to the group's tenant")
    terminal.run("groups", "add", "Desk", "gus", "nix").assert_refused(
        1, "0 of 2 changes succeeded"
    )
    terminal.run("groups", "add", "Desk", "nix", "nox").assert_refused(
        3, "0 of 2 changes succeeded"
    )
    terminal.run("groups", "add", "Desk").assert_refused(2, "USER")


def test_delete(terminal: Terminal) -> None:
    create(terminal, "Desk", "--permission", "users.change")
    terminal.create("mia")
    assert terminal.run("groups", "add", "Desk", "mia").exit_code == 0
    result = terminal.run("groups", "delete", "Desk", "--yes")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Deleted group Desk" in result.stderr
    assert terminal.run("groups", "list", "-o", "json").json() == []
    terminal.run("groups", "delete", "Desk").assert_refused(3, "group 'Desk' not found")
    assert terminal.run("users", "show", "mia").exit_code == 0


def test_names_are_shown_literally(sqlite_terminal: Terminal) -> None:
    """Braces are not placeholders, and names must not contain control characters."""
    create(sqlite_terminal, "{0} {name}")
    sqlite_terminal.create("mia")
    assert (
        "Added mia to group {0} {name}"
        in sqlite_terminal.run("groups", "add", "{0} {name}", "mia").stderr
    )
    sqlite_terminal.run("groups", "create", "De\x1b[31msk").assert_refused(1, "name: ")


def test_show_and_members(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_handlers, "PAGE_SIZE", 2)
    named = terminal.run("groups", "create", "--name", "Team A", "-o", "json").json()
    for name in ("ann", "ben", "cem"):
        terminal.create(name)
    terminal.run("groups", "add", "Team A", "ann", "ben", "cem")
    shown = terminal.run("groups", "show", "team a", "-o", "json").json()
    assert shown == {**named, "members": 3}
    found = terminal.run("groups", "members", str(named["id"]), "-o", "json").json()
    assert [each["username"] for each in found] == ["ann", "ben", "cem"]
    terminal.run("groups", "members", "nix").assert_refused(3, "group 'nix' not found")


def test_the_name_of_a_new_group_is_given_once(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.run("groups", "create").assert_refused(2, "--name NAME")
    sqlite_terminal.run("groups", "create", "A", "--name", "B").assert_refused(2, "--name NAME")
    sqlite_terminal.run("groups", "create", "--name", "").assert_refused(1, "name: must not be")
