"""`dragoman doctor`, `migrate` and `outbox`."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dragoman.jobs.doctor import place
from tests.actions.outboxes import MIA, ask, directory_of
from tests.cli.terminal import API, Said, Terminal
from tests.support.databases import Shelf
from tests.support.world import World


def found(said: Said) -> dict[str, dict[str, Any]]:
    """The findings by what was looked at."""
    import json

    return {finding["check"]: finding for finding in json.loads(said.out)}


def states(terminal: Terminal, **settings: str) -> dict[str, str]:
    """The states by what was looked at."""
    findings = found(terminal.run("doctor", "-o", "json", **settings))
    return {check: finding["state"] for check, finding in findings.items()}


def test_a_sound_directory(terminal: Terminal) -> None:
    said = terminal.run("doctor")
    assert said.code == 0
    assert not [line for line in said.out.splitlines() if line.startswith("fail")]
    assert terminal.settings["DRAGOMAN_SECRET_KEY"] not in said.out
    checks = states(terminal)
    assert checks["database"] == checks["migrations"] == checks["counters"] == "ok"
    assert checks["mail"] == "warn"
    own = "sqlite" if terminal.database.startswith("sqlite") else "postgresql"
    assert checks[own] == "ok"


@pytest.mark.parametrize(
    ("settings", "check", "state"),
    [
        ({"PUBLIC_URL": "http://users.example.com"}, "public url", "warn"),
        ({"PUBLIC_URL": "https://users.example.com"}, "public url", "ok"),
        ({"PUBLIC_URL": "http://[::1]:8000"}, "public url", "ok"),
        ({"SMTP_URL": "smtp://mail:25"}, "public url", "warn"),
        (
            {"PUBLIC_URL": "https://Users.example.com", "HOSTS": "users.example.com=wiwebb"},
            "public url",
            "fail",
        ),
        ({"ANONYMOUS_RATE": "off"}, "anonymous rate", "warn"),
        ({"SMTP_URL": "smtp://mail:25"}, "mail", "warn"),
        ({"SMTP_URL": "smtp://mail:25", "MAIL_FROM": "office@acme.test"}, "mail", "ok"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8"}, "trusted proxies", "ok"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8,0.0.0.0/0"}, "trusted proxies", "warn"),
        ({"ADMIN_PASSWORD": "violet-Kettle-42"}, "first superadmin", "warn"),
        ({"SECRET_KEY": ""}, "secret key", "warn"),
        ({}, "secret key", "ok"),
    ],
)
def test_settings_are_judged(
    shell: Terminal, settings: dict[str, str], check: str, state: str
) -> None:
    given = {f"DRAGOMAN_{name}": value for name, value in settings.items()}
    said = shell.run("doctor", "-o", "json", **given)
    finding = found(said)[check]
    assert finding["state"] == state, finding
    assert bool(finding["advice"]) == (state != "ok")
    assert said.code == (1 if state == "fail" else 0)
    assert "violet-Kettle-42" not in said.out


def test_the_key_is_nobody_elses(shell: Terminal) -> None:
    key = Path(shell.database.removeprefix("sqlite:///")).with_name("dragoman.key")
    key.write_text("ab" * 32)
    key.chmod(0o640)
    assert states(shell, DRAGOMAN_SECRET_KEY="")["secret key"] == "fail"
    key.chmod(0o600)
    assert states(shell, DRAGOMAN_SECRET_KEY="")["secret key"] == "ok"


def test_the_file_is_nobody_elses(shell: Terminal) -> None:
    file = Path(shell.database.removeprefix("sqlite:///"))
    for mode, state in ((0o600, "ok"), (0o644, "warn"), (0o666, "fail")):
        file.chmod(mode)
        assert states(shell)["permissions"] == state


def test_it_makes_neither_a_key_nor_a_database(tmp_path: Path) -> None:
    shell = Terminal(f"sqlite:///{tmp_path}/none.db", tmp_path, DRAGOMAN_SECRET_KEY="")
    said = shell.run("doctor", "-o", "ndjson")
    assert said.code == 1
    assert "not there yet" in said.out
    assert list(tmp_path.iterdir()) == []


def test_counters_that_lie(shell: Terminal) -> None:
    with sqlite3.connect(shell.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE counts SET n = n + 1")
    connection.close()
    said = shell.run("doctor", "-o", "json")
    assert said.code == 1
    assert found(said)["counters"]["state"] == "fail"


def test_settings_that_are_wrong_are_findings(shell: Terminal) -> None:
    said = shell.run("doctor", DRAGOMAN_TENANT="", DRAGOMAN_NONSENSE="1")
    assert said.code == 1
    assert len([line for line in said.out.splitlines() if line.startswith("fail")]) == 2


def test_a_database_that_is_away(tmp_path: Path) -> None:
    url = "postgresql://me:tr0mb0ne@127.0.0.1:1/users"
    shell = Terminal(url, tmp_path)
    said = shell.run("doctor")
    assert said.code == 1
    assert "PostgreSQL, me@127.0.0.1:1/users" in said.out
    listed = shell.run("users", "list")
    listed.refused(1, "the database cannot serve now")
    assert "tr0mb0ne" not in said.out + said.err + listed.err


@pytest.mark.parametrize(
    "address",
    ["me:x@y@h/d", "me:x?y@h/d", "me:x/y@h/d", "me:x y@h/d", "h/d?password=x@y", "me:1?xy@h/d"],
)
def test_no_address_shows_a_part_of_its_password(address: str) -> None:
    shown = place(f"postgresql://{address}")
    assert "x" not in shown
    assert "y" not in shown


# --------------------------------------------------------------------------- migrate


def test_commands_ask_for_a_migration(blank_database: str, tmp_path: Path) -> None:
    terminal = Terminal(blank_database, tmp_path)
    terminal.run("users", "list").refused(1, "dragoman migrate")
    assert terminal.run("doctor").code == 1
    assert terminal.run("migrate").code == 0
    assert "already" in terminal.run("migrate").err
    assert terminal.run("users", "list", "-o", "json").json() == []


def test_a_database_of_a_newer_program(shell: Terminal) -> None:
    with sqlite3.connect(shell.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for words in (["migrate"], ["users", "list"]):
        shell.run(*words).refused(1, "newer than this program")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("not a database at all")
    Terminal(f"sqlite:///{file}", tmp_path).run("migrate").refused(1, "is no SQLite database")
    assert file.read_text() == "not a database at all"
    Terminal("sqlite:////nix/x.db", tmp_path).run("migrate").refused(1, "does not exist: /nix")


# --------------------------------------------------------------------------- outbox


@pytest.fixture
def mailed(shelf: Shelf, tmp_path: Path) -> Any:
    """A shell on a database in which Mia has asked for a new password."""
    with shelf.inhabited("sqlite") as (url, _):

        async def request() -> None:
            async with directory_of(url, "") as directory:
                await ask(directory, MIA)

        asyncio.run(request())
        yield Terminal(url, tmp_path, DRAGOMAN_PUBLIC_URL="https://users.example.com")


def test_a_mail_that_waits_is_shown_with_its_link(mailed: Terminal) -> None:
    (mail,) = mailed.run("outbox", "-o", "json").json()
    assert mail["kind"] == "reset"
    assert mail["recipient"] == MIA
    assert mail["state"] == "waiting"
    assert mail["attempts"] == 0
    assert mail["last_error"] is None
    assert mail["created_at"].endswith("Z")
    base = "https://users.example.com/wiwebb/reset/"
    assert base in mail["text"]
    assert base in mailed.run("outbox").out
    _, _, path = mail["text"].partition(base)
    assert mailed.ask("GET", f"/wiwebb/reset/{path.split()[0]}").status_code == 200


def test_without_the_servers_key_no_link_is_made_up(mailed: Terminal) -> None:
    said = mailed.run("outbox", "-o", "json", DRAGOMAN_SECRET_KEY="")
    assert [mail["text"] for mail in said.json()] == [None]
    assert "DRAGOMAN_SECRET_KEY" in said.err


def test_mails_that_failed_are_a_warning(mailed: Terminal) -> None:
    with sqlite3.connect(mailed.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE outbox SET failed_at = 1, last_error = 'no \x1b[31m such user'")
    connection.close()
    (mail,) = mailed.run("outbox", "-o", "ndjson").lines()
    assert (mail["state"], mail["text"]) == ("failed", None)
    table = mailed.run("outbox").out
    assert "no \\x1b[31m such user" in table
    assert states(mailed)["outbox"] == "warn"


def test_mails_that_wait_too_long_are_a_warning(mailed: Terminal) -> None:
    with sqlite3.connect(mailed.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE outbox SET created_at = 1")
    connection.close()
    assert states(mailed)["outbox"] == "ok"
    assert states(mailed, DRAGOMAN_SMTP_URL="smtp://mail:25")["outbox"] == "warn"


def test_an_empty_outbox(terminal: Terminal) -> None:
    assert terminal.run("outbox", "-o", "json").json() == []
    assert len(terminal.run("outbox").out.splitlines()) == 1
    terminal.run("outbox", "--limit", "0").refused(2)


def test_the_people_of_the_world_are_there(inhabited: tuple[str, World], tmp_path: Path) -> None:
    """What was done through a contract is seen here, on both databases."""
    url, world = inhabited
    terminal = Terminal(url, tmp_path)
    shown = terminal.run("users", "show", "olga", "-o", "json").json()
    assert (shown["id"], shown["tenant"], shown["role"]) == (
        world.people["olga"].id,
        "acme",
        "owner",
    )
    assert terminal.ask("GET", f"{API}/users/").status_code == 401
