"""Completion: of names from the database, without a trace; and in real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from dragoman.cli.completion import SHELLS, VARIABLE
from dragoman.cli.handlers import names
from dragoman.cli.main import main
from dragoman.rules.policy import PERMISSION_CATALOGUE
from tests.support.pseudo_terminal import CONTROLLING, PseudoTerminal
from tests.support.server import dragoman_command, environment, free_port
from tests.support.terminal import Terminal

HOSTILE = "eve`id`$x@acme.test"
"""A valid e-mail address that a shell would run a part of."""


def complete(*words: str) -> list[str]:
    """Return what completes the last word, with the settings of this process."""
    found = ShellComplete(main, {}, "dragoman", VARIABLE).get_completions(
        list(words[:-1]), words[-1]
    )
    return [item.value for item in found]


def inhabit(terminal: Terminal) -> None:
    terminal.run("tenants", "create", "--slug", "acme", "--name", "ACME")
    terminal.create("olga", "owner", "--tenant", "acme")
    terminal.create("Oleg")
    terminal.run("groups", "create", "--name", "Team A", "--tenant", "acme")
    terminal.run("groups", "create", "--name", "Tea")


@pytest.fixture
def people(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Some people, groups and tenants, and a process whose settings name them."""
    inhabit(terminal)
    for name, value in terminal.settings.items():
        monkeypatch.setenv(name, value)
    return terminal


def test_names(people: Terminal) -> None:
    assert complete("users", "show", "ol") == ["Oleg", "Oleg@acme.test", "olga", "olga@acme.test"]
    assert complete("users", "show", "OLGA@a") == ["olga@acme.test"]
    assert complete("users", "deactivate", "olga", "ole")[0] == "Oleg"
    assert complete("users", "show", "o%") == complete("users", "show", "x") == []
    assert complete("users", "set-tenant", "olga", "") == ["acme", "main"]
    assert complete("users", "list", "--tenant=a") == ["acme"]
    assert complete("groups", "members", "t") == ["Tea"]
    assert complete("groups", "members", "--tenant", "acme", "t") == ["Team A"]
    assert complete("tokens", "create", "--contract", "w") == ["wekan", "wiwebb"]
    assert complete("users", "update", "olga", "--set", "l") == ["last_name=", "location="]
    assert complete("users", "update", "olga", "--set", "url=", "b") == ["bio="]
    assert complete("history", "--actor", "adm")[0] == "admin"
    assert complete("history", "--action", "keys.") == ["keys.rotate", "keys.adopt"]
    codenames = [code for _, code, _, _ in PERMISSION_CATALOGUE]
    assert complete("permissions", "grant", "olga", "") == codenames
    people.run("users", "delete", "olga")
    assert complete("users", "show", "olg") == []


def test_names_are_limited(people: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "LIMIT", 1)
    assert complete("users", "show", "") == ["admin"]
    assert complete("tenants", "show", "") == ["acme"]


def test_contracts_are_those_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DRAGOMAN_CONTRACTS", "wiwebb,vsay")
    assert complete("tokens", "create", "--contract", "") == ["wiwebb", "vsay"]
    monkeypatch.delenv("DRAGOMAN_CONTRACTS")
    config = tmp_path / "dragoman.toml"
    config.write_text('contracts = ["wekan"]\n')
    monkeypatch.setenv("DRAGOMAN_CONFIG", str(config))
    assert complete("tokens", "create", "--contract", "") == ["wekan"]
    config.write_text("nonsense")
    assert complete("tokens", "create", "--contract", "") == []


def test_what_cannot_be_looked_up_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert complete("users", "show", "") == []  # the default database, which is not there
    assert list(tmp_path.iterdir()) == []
    other = tmp_path / "other.db"
    other.write_text("not a database at all")
    for url in (f"sqlite:///{other}", f"postgresql://nobody@127.0.0.1:{free_port()}/x", "mysql:"):
        monkeypatch.setenv("DRAGOMAN_DATABASE", url)
        assert complete("users", "show", "") == []
    assert [path.name for path in tmp_path.iterdir()] == ["other.db"]
    assert other.read_text() == "not a database at all"
    assert capfd.readouterr() == ("", "")


def test_a_database_that_does_not_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import socket

    monkeypatch.setattr(names, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("DRAGOMAN_DATABASE", f"postgresql://nobody@127.0.0.1:{port}/x")
        assert complete("users", "show", "") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_what_help_says(sqlite_terminal: Terminal, shell: str) -> None:
    script = sqlite_terminal.run("completion", shell)
    assert script.exit_code == 0
    assert f"{VARIABLE}={shell}_complete" in script.stdout
    assert f"dragoman completion {shell}" in sqlite_terminal.run("completion", "--help").stdout
    sqlite_terminal.run("completion", "tcsh").assert_refused(2)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("users show --i", "plain,--id"),
        ("users set-p", "plain,set-password"),
        ("users list --role ad", "plain,admin"),
        ("users update olga --set bi", "plain,bio="),
        ("history --action=keys.ro", "plain,keys.rotate"),
        ('permissions grant olga "users.ch', "plain,users.change"),
    ],
)
def test_bash_is_told_the_rest_of_its_word(
    monkeypatch: pytest.MonkeyPatch, typed: str, expected: str
) -> None:
    monkeypatch.setenv("COMP_LINE", f"dragoman {typed}")
    assert SHELLS["bash"](main, {}, "dragoman", VARIABLE).complete() == expected


def test_no_name_becomes_a_command(people: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """An e-mail address may have backquotes, and people who sign up choose it."""
    words = ("users", "update", "Oleg", "--set", f"email={HOSTILE}")
    assert people.run(*words, "-o", "json").json()["email"] == HOSTILE
    assert complete("users", "show", "eve") == [HOSTILE]
    for typed, expected in (("eve", r"plain,eve\`id\`\$x@acme.test"), ('"eve', ""), ("'eve", "")):
        monkeypatch.setenv("COMP_LINE", f"dragoman users show {typed}")
        assert SHELLS["bash"](main, {}, "dragoman", VARIABLE).complete() == expected


# ----------------------------------------------------------------------------- in real shells


@pytest.fixture
def shell_env(sqlite_terminal: Terminal) -> dict[str, str]:
    """What a shell needs to find the command and the people."""
    inhabit(sqlite_terminal)
    sqlite_terminal.run("users", "update", "Oleg", "--set", f"email={HOSTILE}")
    env = environment(sqlite_terminal.settings)
    folder = Path(dragoman_command()[0]).parent
    home = sqlite_terminal.folder
    env |= {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(home), "TERM": "xterm"}
    env |= {"PS1": "ready> ", "XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home)}
    return env


def _echo(terminal: PseudoTerminal, typed: str) -> str:
    """Type words and a tab, and return the words that the shell makes of it, each in brackets.

    The mark is spelled otherwise where it is typed: terminals echo.
    """
    terminal.type(f"{typed}\t\x01printf '<%s>' \x05; printf 'EN''D\\n'\r")
    shown = terminal.wait_for("END\r\n")
    return shown[shown.rindex("<dragoman>") :]


TYPED = {
    "dragoman users show ole": "<dragoman><users><show><Oleg",
    "dragoman users show eve": f"<dragoman><users><show><{HOSTILE}>",
    "dragoman users show olga@": "<dragoman><users><show><olga@acme.test>",
    "dragoman groups members --tenant ac": "<dragoman><groups><members><--tenant><acme>",
    "dragoman groups members --tenant acme Te": "<dragoman><groups><members><--tenant><acme><Team A>",
    "dragoman users update olga --set fi": "<dragoman><users><update><olga><--set><first_name=>",
}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_person_presses_tab(shell: str, shell_env: dict[str, str], tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} (Debian's package {shell})")
    options = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[shell]
    start = "autoload -U compinit; compinit -D; " if shell == "zsh" else ""
    terminal = PseudoTerminal([*CONTROLLING, shell, *options], shell_env, tmp_path, columns=200)
    try:
        terminal.type(f'{start}eval "$(dragoman completion {shell})"; printf "STAR""TED\\n"\r')
        terminal.wait_for("STARTED\r\n")
        for typed, expected in TYPED.items():
            assert _echo(terminal, typed).startswith(expected), typed
    finally:
        terminal.close()


def test_fish(shell_env: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish (Debian's package fish)")
    lines = [
        "dragoman users show olga@", "dragoman users show eve", "dragoman groups members --tenant acme Te",
        "dragoman users update olga --set fi", "dragoman tenants show ma",
    ]  # fmt: skip
    asked = "".join(f"complete -C '{line}'\n" for line in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"dragoman completion fish | source\n{asked}"],
        env=shell_env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "olga@acme.test\tolga", f"{HOSTILE}\tOleg", "Team A", "first_name=", "main\tmain",
    ]  # fmt: skip
