"""`dragoman keys …`."""

from __future__ import annotations

import asyncio
import re

from dragoman.rules import crypto
from tests.support.databases import SECRET_KEY, query
from tests.support.terminal import Terminal

JWKS = "/.well-known/jwks.json"


def kids(terminal: Terminal) -> list[str]:
    return [key["kid"] for key in terminal.request("GET", JWKS).json()["keys"]]


def test_rotate(terminal: Terminal) -> None:
    """The kid is the only output; the previous key stays published."""
    assert terminal.run("keys", "list", "-o", "json").json() == []
    result = terminal.run("keys", "rotate")
    assert result.exit_code == 0
    first = result.stdout.removesuffix("\n")
    assert re.fullmatch(r"[\w-]{43}", first)
    assert kids(terminal) == [first]
    second = terminal.run("keys", "rotate", "-o", "json").json()
    assert second.keys() == {"kid", "state", "created_at", "retired_at"}
    assert (second["state"], second["retired_at"]) == ("current", None)
    assert kids(terminal) == [second["kid"], first]


def test_list(terminal: Terminal) -> None:
    created = [terminal.run("keys", "rotate", "-o", "json").json() for _ in range(2)]
    new, old = terminal.run("keys", "list", "-o", "json").json()
    assert new == created[1]
    assert old == {**created[0], "state": "retired", "retired_at": old["retired_at"]}
    assert old["retired_at"] == new["created_at"]
    assert terminal.run("keys", "list").stdout.splitlines()[0].split() == [
        "kid", "state", "created_at", "retired_at",
    ]  # fmt: skip


def test_private_keys_are_never_shown(terminal: Terminal) -> None:
    shown = "".join(
        result.stdout + result.stderr
        for form in ("table", "json", "ndjson")
        for result in (
            terminal.run("keys", "rotate", "-o", form),
            terminal.run("keys", "list", "-o", form),
        )
    )
    shown += terminal.request("GET", JWKS).text
    rows = asyncio.run(query(terminal.database, "SELECT sealed FROM signing_keys"))
    assert len(rows) == 3
    for (sealed,) in rows:
        opened = crypto.unseal(SECRET_KEY, "signing", sealed)
        assert opened is not None
        d = re.findall(r'"d":"([\w-]{43})"', opened.decode())
        assert len(d) == 1
        assert d[0] not in shown
        assert sealed not in shown


def test_without_the_servers_key_nothing_is_made(sqlite_terminal: Terminal) -> None:
    """What a command sealed with a key of its own, no server could open."""
    sqlite_terminal.run("keys", "rotate", DRAGOMAN_SECRET_KEY="").assert_refused(
        1, "DRAGOMAN_SECRET_KEY"
    )
    assert sqlite_terminal.run("keys", "list", "-o", "json", DRAGOMAN_SECRET_KEY="").json() == []


def test_without_the_servers_key_no_jwt_is_made(sqlite_terminal: Terminal) -> None:
    """The first one would bring a signing key with it that no server could open."""
    words = ("tokens", "create", "--user", "admin", "--contract", "binacle")
    sqlite_terminal.run(*words, DRAGOMAN_SECRET_KEY="").assert_refused(1, "DRAGOMAN_SECRET_KEY")
    assert sqlite_terminal.run("keys", "list", "-o", "json").json() == []
    assert sqlite_terminal.run(*words).stdout.count(".") == 2


def test_the_doctor_names_a_key_that_another_server_sealed(terminal: Terminal) -> None:
    assert terminal.run("keys", "rotate").exit_code == 0
    assert "fail" not in terminal.run("doctor").stdout
    result = terminal.run("doctor", DRAGOMAN_SECRET_KEY="cd" * 32)
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("fail")]
    assert "signing key" in line
    assert "dragoman keys rotate" in line
    assert terminal.run("keys", "rotate", DRAGOMAN_SECRET_KEY="cd" * 32).exit_code == 0
    assert terminal.run("doctor", DRAGOMAN_SECRET_KEY="cd" * 32).exit_code == 0


def test_help(sqlite_terminal: Terminal) -> None:
    for words in (["keys"], ["keys", "rotate"], ["keys", "list"]):
        result = sqlite_terminal.run(*words, "--help")
        assert result.exit_code == 0
        assert "Usage: dragoman keys" in result.stdout
