"""`dragoman keys …`."""

from __future__ import annotations

import asyncio
import re
import stat
from pathlib import Path

import pytest

from dragoman.rules import crypto
from tests.support.databases import SECRET_KEY, query
from tests.support.terminal import Terminal

COLUMNS = ("kid", "algorithm", "state", "created_at", "signs_from", "retired_at")
JWKS = "/.well-known/jwks.json"


def kids(terminal: Terminal) -> list[str]:
    return [key["kid"] for key in terminal.request("GET", JWKS).json()["keys"]]


def test_rotate(terminal: Terminal) -> None:
    """The kid is the only output; the new key is published and does not sign yet."""
    assert terminal.run("keys", "list", "-o", "json").json() == []
    result = terminal.run("keys", "rotate")
    assert result.exit_code == 0
    first = result.stdout.removesuffix("\n")
    assert re.fullmatch(r"[\w-]{43}", first)
    assert kids(terminal) == [first]
    second = terminal.run("keys", "rotate", "-o", "json").json()
    assert tuple(second) == COLUMNS
    assert (second["algorithm"], second["state"], second["retired_at"]) == ("EdDSA", "next", None)
    assert second["signs_from"] > second["created_at"]
    assert kids(terminal) == [second["kid"], first]


def test_rotate_now(terminal: Terminal) -> None:
    """After a leak: the new key signs, and nobody verifies with the old ones any longer."""
    for _ in range(2):
        assert terminal.run("keys", "rotate").exit_code == 0
    third = terminal.run("keys", "rotate", "--now", "-o", "json").json()
    assert third["state"] == "current"
    assert third["signs_from"] == third["created_at"]
    assert kids(terminal) == [third["kid"]]


def test_list(terminal: Terminal) -> None:
    created = [terminal.run("keys", "rotate", "-o", "json").json() for _ in range(2)]
    assert terminal.run("keys", "list", "-o", "json").json() == created[::-1]
    assert [key["state"] for key in created] == ["current", "next"]
    assert tuple(terminal.run("keys", "list").stdout.splitlines()[0].split()) == COLUMNS


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


def test_adopt(terminal: Terminal) -> None:
    """What another key cannot do, and how it becomes the database's."""
    other = {"DRAGOMAN_SECRET_KEY": "cd" * 32}
    assert terminal.run("keys", "rotate").exit_code == 0
    assert "fail" not in terminal.run("doctor").stdout
    result = terminal.run("doctor", **other)
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("fail")]
    assert "server key" in line
    assert "dragoman keys adopt" in line
    terminal.run("keys", "rotate", **other).assert_refused(1, "keys adopt")
    result = terminal.run("keys", "adopt", **other)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "mailed links" in result.stderr
    assert "nothing was changed" in terminal.run("keys", "adopt", **other).stderr
    assert terminal.run("keys", "list", "-o", "json", **other).json() == []
    assert terminal.run("doctor", **other).exit_code == 0
    assert terminal.run("keys", "rotate", **other).exit_code == 0
    terminal.run("keys", "rotate").assert_refused(1, "keys adopt")


def test_adopt_makes_a_key_file_where_the_old_one_is_lost(sqlite_terminal: Terminal) -> None:
    nothing = {"DRAGOMAN_SECRET_KEY": ""}
    result = sqlite_terminal.run("doctor", **nothing)
    assert result.exit_code == 1
    assert "keys adopt" in result.stdout
    assert sqlite_terminal.run("keys", "adopt", **nothing).exit_code == 0
    path = Path(sqlite_terminal.database.removeprefix("sqlite:///")).with_name("dragoman.key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sqlite_terminal.run("doctor", **nothing).exit_code == 0


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_file_that_others_can_read_is_refused(sqlite_terminal: Terminal, mode: int) -> None:
    nothing = {"DRAGOMAN_SECRET_KEY": ""}
    assert sqlite_terminal.run("keys", "adopt", **nothing).exit_code == 0
    path = Path(sqlite_terminal.database.removeprefix("sqlite:///")).with_name("dragoman.key")
    path.chmod(mode)
    sqlite_terminal.run("keys", "rotate", **nothing).assert_refused(1, f"chmod 600 {path}")
    result = sqlite_terminal.run("doctor", **nothing)
    assert (result.exit_code, result.stdout.count("fail")) == (1, 1)
    path.chmod(0o600)
    assert sqlite_terminal.run("keys", "rotate", **nothing).exit_code == 0


def test_a_key_file_of_zeros_is_refused(sqlite_terminal: Terminal) -> None:
    path = Path(sqlite_terminal.database.removeprefix("sqlite:///")).with_name("dragoman.key")
    path.touch(0o600)
    path.write_text("0" * 64)
    nothing = {"DRAGOMAN_SECRET_KEY": ""}
    sqlite_terminal.run("keys", "rotate", **nothing).assert_refused(1, "openssl rand -hex 32")


def test_help(sqlite_terminal: Terminal) -> None:
    for words in (["keys"], ["keys", "rotate"], ["keys", "adopt"], ["keys", "list"]):
        result = sqlite_terminal.run(*words, "--help")
        assert result.exit_code == 0
        assert "Usage: dragoman keys" in result.stdout
