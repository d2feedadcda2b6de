"""The installed command: streams, exit codes, help, completion and prompts."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman import __version__
from dragoman.cli import options
from dragoman.cli.main import main
from dragoman.rules.model import Role
from tests.support.server import dragoman_command, environment
from tests.support.terminal import Terminal

COMMANDS = [
    "serve", "migrate", "users create", "users list", "users show", "users deactivate",
    "users activate", "users approve", "users set-password", "users send-link", "users set-role",
    "users update", "users set-tenant", "users unlock", "users delete", "users erase", "users export-data", "backup", "restore",
    "tenants create",
    "tenants list", "tenants show", "tenants update", "tenants activate", "tenants deactivate",
    "tenants delete", "tokens create", "tokens list", "tokens revoke", "outbox retry", "outbox drop",
    "doctor", "completion",
    "permissions list", "permissions show", "permissions grant", "permissions revoke",
    "groups list", "groups show", "groups members", "groups create", "groups delete", "groups add", "groups remove",
    "groups permit", "groups forbid", "keys rotate", "keys adopt", "keys list",
    "history", "explain", "export", "import", "imports list", "imports show", "imports undo",
    "settings show", "man",
]  # fmt: skip


def test_new_directory_with_the_installed_command(tmp_path: Path) -> None:
    """All exit codes of the installed command except 5, which test_users covers."""
    shell = Terminal("sqlite:///dragoman.db", tmp_path, DRAGOMAN_SECRET_KEY="")
    shell.spawn("users", "list").assert_refused(1, "database dragoman.db not found")
    assert list(tmp_path.iterdir()) == []
    assert shell.spawn("migrate").exit_code == 0
    assert (tmp_path / "dragoman.db").stat().st_mode & 0o777 == 0o600
    words = ["users", "create", "--username", "ada", "--email", "ada@acme.test", "--role", "admin"]
    created = shell.spawn(*words, "--password-stdin", "-o", "json", stdin="violet-Kettle-42\n")
    assert created.json()["username"] == "ada"
    assert created.stderr == ""
    assert not (tmp_path / "dragoman.key").exists(), "only the server creates a key file"
    shell.spawn(*words, "--password-stdin", stdin="violet-Kettle-42\n").assert_refused(
        4, "already in use"
    )
    shell.spawn(*words).assert_refused(2, "--password-stdin")
    shell.spawn("users", "show", "nix").assert_refused(3, "user 'nix' not found")
    assert shell.spawn("users", "show", "ada", "-o", "ndjson").lines() == [created.json()]


def test_all_wrong_settings_are_reported_at_once(sqlite_terminal: Terminal) -> None:
    settings = {"DRAGOMAN_PUBLIC_URL": "nowhere", "DRAGOMAN_NONSENSE": "1", "DRAGOMAN_TENANT": ""}
    for words in (["users", "list"], ["settings", "show"], ["migrate"]):
        result = sqlite_terminal.run(*words, **settings)
        result.assert_refused(1, *settings)
        assert len(result.stderr.splitlines()) == 3
    result = sqlite_terminal.spawn("serve", **settings)
    result.assert_refused(1, *settings)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert [event["event"] for event in events] == ["server_failed"] * 3


def test_version() -> None:
    done = subprocess.run(
        [*dragoman_command(), "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"dragoman {__version__}\n"


@pytest.mark.parametrize(
    "command",
    ["", "users", "tenants", "tokens", "outbox", "permissions", "groups", "keys", *COMMANDS],
)
def test_help(sqlite_terminal: Terminal, command: str) -> None:
    result = sqlite_terminal.run(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage: dragoman" in result.stdout


def test_help_imports_no_slow_modules() -> None:
    """Slow modules are imported only when a command runs."""
    code = (
        "import sys; from dragoman.cli.main import main; main(['users', 'create', '--help'],"
        " standalone_mode=False); heavy = {'sqlalchemy', 'asyncpg', 'starlette', 'granian', 'msgspec'};"
        " sys.exit(', '.join(heavy & sys.modules.keys()) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_usage(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.run("nonsense").assert_refused(2, "nonsense")
    sqlite_terminal.run("users", "list", "-o", "yaml").assert_refused(2, "yaml")
    sqlite_terminal.run("users", "show", "x\udcff").assert_refused(2, "not UTF-8")
    sqlite_terminal.run("serve", "--port", "70000").assert_refused(2, "70000")


def test_role_names_match_the_model() -> None:
    assert tuple(role.name.lower() for role in Role) == options.ROLE_NAMES


def test_closed_pipe_is_silent(sqlite_terminal: Terminal) -> None:
    """``dragoman users list | head -1`` writes no error message."""
    for name in ("ann", "ben"):
        sqlite_terminal.create(name)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*dragoman_command(), "users", "list", "-o", "ndjson"],
        env=environment(sqlite_terminal.settings),
        check=False,
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    assert done.stderr == b""


def test_password_prompt_asks_twice_without_echo(sqlite_terminal: Terminal) -> None:
    words = ["users", "create", "--username", "ada", "--email", "a@acme.test", "--role", "admin"]
    status, shown = run_on_tty(sqlite_terminal, words, "other-Kettle-43\n", "other-Kettle-43\n")
    assert status == 0, shown
    assert "Password:" in shown
    assert "Kettle" not in shown
    assert sqlite_terminal.sign_in("ada", "other-Kettle-43") == 200


def test_delete_asks_for_confirmation(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.create("olga")
    status, shown = run_on_tty(sqlite_terminal, ["users", "delete", "olga"], "n\n")
    assert status == 1, shown
    assert "Permanently delete olga?" in shown
    assert sqlite_terminal.run("users", "show", "olga").exit_code == 0
    assert sqlite_terminal.run("users", "delete", "olga", "--yes").exit_code == 0


def run_on_tty(sqlite_terminal: Terminal, words: list[str], *typed: str) -> tuple[int, str]:
    """Run the command on a pseudo-terminal and type one text at each prompt."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [*dragoman_command(), *words],
        stdin=child,
        stdout=child,
        stderr=child,
        env=environment({**sqlite_terminal.settings, "TERM": "dumb"}),
        start_new_session=True,
    )
    os.close(child)
    shown, left = "", list(typed)
    while True:
        try:
            result = os.read(parent, 4096)
        except OSError:  # on Linux, after the child process has closed the terminal
            break
        if not result:
            break
        shown += result.decode()
        if left and shown.rstrip(" ").endswith(":"):
            os.write(parent, left.pop(0).encode())
    os.close(parent)
    return process.wait(30), shown


def test_json_is_utf8_in_every_locale(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.create("olga", "member", "--first-name", "Ольга")
    result = sqlite_terminal.spawn(
        "users", "show", "olga", "-o", "json", LC_ALL="C", PYTHONUTF8="0"
    )
    assert json.loads(result.stdout)["first_name"] == "Ольга"


def test_list_of_commands_is_complete() -> None:
    actual = [
        f"{name} {sub}" if sub else name
        for name, command in main.commands.items()
        for sub in (getattr(command, "commands", None) or {"": None})
    ]
    assert sorted(actual) == sorted(COMMANDS)
