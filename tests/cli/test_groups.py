"""`dragoman permissions …` and `dragoman groups …`."""

from __future__ import annotations

import pytest

from dragoman.rules.policy import CATALOGUE
from tests.cli.terminal import Said, Terminal

FIELDS = {"id", "name", "tenant", "members", "permissions"}
COMMANDS = [
    "permissions", "permissions list", "permissions show", "permissions grant",
    "permissions revoke", "groups", "groups list", "groups create", "groups delete", "groups add",
    "groups remove", "groups permit", "groups forbid",
]  # fmt: skip


def codenames(said: Said) -> list[str]:
    return [each["codename"] for each in said.json()]


def create(terminal: Terminal, name: str, *words: str) -> dict[str, object]:
    return terminal.run("groups", "create", name, *words, "-o", "json").json()


@pytest.mark.parametrize("command", COMMANDS)
def test_help(shell: Terminal, command: str) -> None:
    said = shell.run(*command.split(), "--help")
    assert said.code == 0
    assert f"Usage: dragoman {command}" in said.out


# --------------------------------------------------------------------------- permissions


def test_the_catalogue(terminal: Terminal) -> None:
    found = terminal.run("permissions", "list", "-o", "json").json()
    assert found == [{"id": n, "codename": code, "name": name} for n, code, name, _ in CATALOGUE]
    lines = terminal.run("permissions", "list").out.splitlines()
    assert lines[0].split() == ["id", "codename", "name"]
    assert lines[1].split(maxsplit=2) == ["1", "users.view", CATALOGUE[0][2]]


def test_grant_show_revoke(terminal: Terminal) -> None:
    """What results is shown, ordered by id; a repetition changes nothing."""
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


def test_an_unknown_codename_changes_nothing(terminal: Terminal) -> None:
    terminal.create("mia")
    for verb in "grant", "revoke":
        said = terminal.run("permissions", verb, "mia", "users.change", "nix", "nox")
        said.refused(3, "there is no permission 'nix'", "'nox'", "dragoman permissions list")
    assert codenames(terminal.run("permissions", "show", "mia", "-o", "json")) == []
    terminal.run("permissions", "grant", "nix", "users.change").refused(3, "no user 'nix'")
    terminal.run("permissions", "show", "nix").refused(3, "no user 'nix'")
    terminal.run("permissions", "grant", "mia").refused(2, "CODENAME")


# --------------------------------------------------------------------------- groups


def test_create_and_list(terminal: Terminal) -> None:
    """Without a tenant, in that of the settings."""
    assert terminal.run("tenants", "create", "--slug", "acme").code == 0
    words = ("--permission", "users.change", "--permission", "users.view")
    desk = create(terminal, "Desk", "--tenant", "acme", *words)
    assert desk.keys() == FIELDS
    assert (desk["name"], desk["tenant"], desk["members"]) == ("Desk", "acme", 0)
    assert desk["permissions"] == ["users.view", "users.change"]
    other = create(terminal, "Desk")
    assert (other["tenant"], other["permissions"]) == ("main", [])
    assert terminal.run("groups", "list", "-o", "json").json() == [desk, other]
    assert terminal.run("groups", "list", "--tenant", "acme", "-o", "json").json() == [desk]
    head, line, _ = terminal.run("groups", "list").out.splitlines()
    assert head.split() == ["id", "name", "tenant", "members", "permissions"]
    assert line.split() == [str(desk["id"]), "Desk", "acme", "0", "users.view", "users.change"]
    renamed = terminal.run("groups", "list", "-o", "json", DRAGOMAN_TENANT="nix")
    assert len(renamed.json()) == 2


def test_what_is_wrong_and_what_is_taken(shell: Terminal) -> None:
    create(shell, "Desk")
    shell.run("groups", "create", "DESK").refused(4, "name: is taken")
    shell.run("groups", "create", "17").refused(1, "name: must not be digits alone")
    shell.run("groups", "create", " ").refused(1, "name: must not be empty")
    shell.run("groups", "create", "X", "--tenant", "nix").refused(3, "there is no tenant 'nix'")
    shell.run("groups", "create", "X", "--permission", "nix").refused(3, "no permission 'nix'")
    shell.run("groups", "create").refused(2, "NAME")
    assert len(shell.run("groups", "list", "-o", "json").json()) == 1


def test_a_group_is_named_by_id_or_within_its_tenant(terminal: Terminal) -> None:
    assert terminal.run("tenants", "create", "--slug", "acme").code == 0
    here, there = create(terminal, "Desk"), create(terminal, "Desk", "--tenant", "acme")
    for words, group in (
        (("desk",), here),
        (("DESK", "--tenant", "acme"), there),
        ((str(there["id"]),), there),
        ((str(there["id"]), "--tenant", "main"), there),
    ):
        said = terminal.run("groups", "permit", *words[:1], "users.view", *words[1:], "-o", "json")
        assert said.json()["id"] == group["id"], words
    for verb in (["permit", "{}", "users.view"], ["forbid", "{}", "users.view"], ["delete", "{}"]):
        for wrong in "nix", "99999", "9" * 30:
            said = terminal.run("groups", *(word.format(wrong) for word in verb))
            said.refused(3, "there is no group", wrong)


def test_permit_and_forbid(terminal: Terminal) -> None:
    create(terminal, "Desk")
    said = terminal.run("groups", "permit", "Desk", "users.view", "users.change", "-o", "json")
    assert said.json()["permissions"] == ["users.view", "users.change"]
    terminal.run("groups", "permit", "Desk", "users.delete", "nix").refused(3, "'nix'")
    said = terminal.run("groups", "forbid", "Desk", "users.view", "-o", "json")
    assert said.json()["permissions"] == ["users.change"]
    lines = terminal.run("groups", "permit", "Desk", "users.view").out.splitlines()
    assert lines[-1].split() == ["permissions", "users.view", "users.change"]


def test_add_and_remove(terminal: Terminal) -> None:
    """Each is a change of its own; data is not shown, what was done is told."""
    create(terminal, "Desk", "--permission", "users.change")
    for name in "mia", "gus":
        terminal.create(name)
    said = terminal.run("groups", "add", "Desk", "mia", "gus@acme.test")
    assert (said.code, said.out) == (0, "")
    assert "mia is in Desk now" in said.err
    assert "already" in terminal.run("groups", "add", "Desk", "mia").err
    assert terminal.run("groups", "list", "-o", "json").json()[0]["members"] == 2
    assert codenames(terminal.run("permissions", "show", "mia", "-o", "json")) == []
    said = terminal.run("groups", "remove", "Desk", "mia", "nix", "gus")
    assert said.code == 5
    assert "nix: there is no user 'nix'" in said.err
    assert "2 of 3 done" in said.err
    assert terminal.run("groups", "list", "-o", "json").json()[0]["members"] == 0
    assert "mia is not in Desk" in terminal.run("groups", "remove", "Desk", "mia").err


def test_whom_a_group_does_not_take(terminal: Terminal) -> None:
    create(terminal, "Desk")
    assert terminal.run("tenants", "create", "--slug", "acme").code == 0
    terminal.create("gus", "member", "--tenant", "acme")
    for name in "gus", "admin":
        said = terminal.run("groups", "add", "Desk", name)
        said.refused(1, f"{name} does not stand in the group's tenant")
    terminal.run("groups", "add", "Desk", "gus", "nix").refused(1, "0 of 2 done")
    terminal.run("groups", "add", "Desk", "nix", "nox").refused(3, "0 of 2 done")
    terminal.run("groups", "add", "Desk").refused(2, "USER")


def test_delete(terminal: Terminal) -> None:
    create(terminal, "Desk", "--permission", "users.change")
    terminal.create("mia")
    assert terminal.run("groups", "add", "Desk", "mia").code == 0
    said = terminal.run("groups", "delete", "Desk", "--yes")
    assert (said.code, said.out) == (0, "")
    assert "the group Desk is deleted" in said.err
    assert terminal.run("groups", "list", "-o", "json").json() == []
    terminal.run("groups", "delete", "Desk").refused(3, "there is no group 'Desk'")
    assert terminal.run("users", "show", "mia").code == 0


def test_a_name_says_nothing_to_the_terminal(shell: Terminal) -> None:
    """Braces are no placeholders, and control characters never get into a name."""
    create(shell, "{0} {name}")
    shell.create("mia")
    assert "mia is in {0} {name} now" in shell.run("groups", "add", "{0} {name}", "mia").err
    shell.run("groups", "create", "De\x1b[31msk").refused(1, "name: ")
