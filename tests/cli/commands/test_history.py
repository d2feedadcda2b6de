"""`dragoman history`."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.rules.vocabulary import AuditAction
from tests.support.terminal import Terminal


def history(terminal: Terminal, *words: str) -> list[dict[str, Any]]:
    return terminal.run("history", *words, "-o", "ndjson").lines()


def told(entries: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(entry["actor"], entry["action"], entry["target"]) for entry in entries]


@pytest.fixture
def busy_terminal(terminal: Terminal) -> Terminal:
    """A directory in which the command line, two users and a stranger have done something."""
    terminal.create("olga", "owner")
    terminal.create("nina")
    assert terminal.sign_in("olga") == 200
    assert terminal.sign_in("nina", "not-Kettle-42") == 400
    assert terminal.sign_in("nina", "not-Kettle-43") == 400
    assert terminal.sign_in("nina") == 200
    terminal.run("users", "deactivate", "nina")
    return terminal


def test_every_row_names_who_acted(busy_terminal: Terminal) -> None:
    assert told(history(busy_terminal, "-n", "6")) == [
        ("command line", "users.set_active", "nina"),
        ("nina", "sessions.sign_in", "nina"),
        ("an anonymous visitor", "sessions.sign_in_failed", "nina"),
        ("olga", "sessions.sign_in", "olga"),
        ("command line", "users.create", "nina"),
        ("command line", "users.create", "olga"),
    ]
    failed = history(busy_terminal, "--action", "sessions.sign_in_failed")
    assert [entry["count"] for entry in failed] == [2]
    assert failed[0]["last_at"] >= failed[0]["at"]


def test_filters(busy_terminal: Terminal) -> None:
    olga = busy_terminal.run("users", "show", "olga", "-o", "json").json()
    for reference in ("olga", "olga@acme.test", str(olga["id"]), olga["public_id"]):
        assert told(history(busy_terminal, "--user", reference)) == [
            ("olga", "sessions.sign_in", "olga"),
            ("command line", "users.create", "olga"),
        ]
        assert told(history(busy_terminal, "--actor", reference)) == [
            ("olga", "sessions.sign_in", "olga")
        ]
    assert history(busy_terminal, "--user", "olga", "--actor", "nina") == []
    created = history(busy_terminal, "--action", "users.create", "--tenant", "main")
    assert [entry["target"] for entry in created] == ["nina", "olga"]
    assert {entry["tenant"] for entry in created} == {"main"}
    assert len(history(busy_terminal, "-n", "2")) == 2


def test_a_range_of_times(busy_terminal: Terminal) -> None:
    entries = history(busy_terminal)
    middle = entries[2]
    since = history(busy_terminal, "--since", middle["at"])
    until = history(busy_terminal, "--until", middle["at"])
    assert [entry["id"] for entry in since + until] == [entry["id"] for entry in entries]
    assert history(busy_terminal, "--since", "1h") == entries
    assert history(busy_terminal, "--until", "1h") == []
    assert history(busy_terminal, "--since", middle["at"], "--user", "olga") == [
        entry for entry in since if entry["target"] == "olga"
    ]


def test_a_request(busy_terminal: Terminal) -> None:
    request_id = history(busy_terminal, "--action", "sessions.sign_in")[0]["request_id"]
    assert request_id
    (entry,) = history(busy_terminal, "--request", request_id)
    assert (entry["actor"], entry["action"]) == ("nina", "sessions.sign_in")
    assert history(busy_terminal, "--request", "nothing-like-it") == []


def test_deleted_users_are_named_by_their_id(busy_terminal: Terminal) -> None:
    user = busy_terminal.run("users", "show", "nina", "-o", "json").json()
    busy_terminal.run("users", "delete", "nina", "--yes")
    for reference in (str(user["id"]), user["public_id"]):
        entries = history(busy_terminal, "--user", reference)
        assert entries[0]["action"] == "users.delete"
        assert entries[0]["target_id"] == user["id"]


def test_more_entries_than_one_query_reads(
    busy_terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = history(busy_terminal)
    monkeypatch.setattr("dragoman.cli.handlers.history.PAGE_SIZE", 2)
    assert history(busy_terminal) == entries
    assert history(busy_terminal, "--since", "1h") == entries
    assert history(busy_terminal, "--actor", "nina", "-n", "3") == [
        entry for entry in entries if entry["actor"] == "nina"
    ]


def test_what_cannot_be_asked(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.run("history", "--user", "nina").assert_refused(3, "user 'nina' not found")
    sqlite_terminal.run("history", "--tenant", "none").assert_refused(3, "tenant 'none' not found")
    sqlite_terminal.run("history", "--since", "yesterday").assert_refused(2, "is no time", "7d")
    sqlite_terminal.run("history", "--since", "999999w").assert_refused(2, "is no time")
    sqlite_terminal.run("history", "--action", "users.fly").assert_refused(2, "users.create")


def test_actions_complete(sqlite_terminal: Terminal) -> None:
    from click.shell_completion import ShellComplete

    from dragoman.cli.completion import VARIABLE
    from dragoman.cli.main import main

    complete = ShellComplete(main, {}, "dragoman", VARIABLE)
    found = complete.get_completions(["history", "--action"], "users.")
    names = {item.value for item in found}
    assert names == {action.value for action in AuditAction if action.value.startswith("users.")}
