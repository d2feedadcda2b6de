"""`dragoman doctor`, `migrate` and `outbox`."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dragoman.jobs.doctor import describe_database
from tests.support.databases import DatabaseTemplates
from tests.support.outboxes import MIA, open_directory, request_reset
from tests.support.terminal import API, CommandResult, Terminal
from tests.support.world import World


def findings_by_subject(said: CommandResult) -> dict[str, dict[str, Any]]:
    """The findings by what was looked at."""
    import json

    return {finding["check"]: finding for finding in json.loads(said.stdout)}


def states(terminal: Terminal, **settings: str) -> dict[str, str]:
    """The states by what was looked at."""
    findings = findings_by_subject(terminal.run("doctor", "-o", "json", **settings))
    return {check: finding["state"] for check, finding in findings.items()}


def test_a_sound_directory(terminal: Terminal) -> None:
    said = terminal.run("doctor")
    assert said.exit_code == 0
    assert not [line for line in said.stdout.splitlines() if line.startswith("fail")]
    assert terminal.settings["DRAGOMAN_SECRET_KEY"] not in said.stdout
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
def test_settings_are_checked(
    sqlite_terminal: Terminal, settings: dict[str, str], check: str, state: str
) -> None:
    given = {f"DRAGOMAN_{name}": value for name, value in settings.items()}
    said = sqlite_terminal.run("doctor", "-o", "json", **given)
    finding = findings_by_subject(said)[check]
    assert finding["state"] == state, finding
    assert bool(finding["advice"]) == (state != "ok")
    assert said.exit_code == (1 if state == "fail" else 0)
    assert "violet-Kettle-42" not in said.stdout


def test_the_key_is_nobody_elses(sqlite_terminal: Terminal) -> None:
    key = Path(sqlite_terminal.database.removeprefix("sqlite:///")).with_name("dragoman.key")
    key.write_text("ab" * 32)
    key.chmod(0o640)
    assert states(sqlite_terminal, DRAGOMAN_SECRET_KEY="")["secret key"] == "fail"
    key.chmod(0o600)
    assert states(sqlite_terminal, DRAGOMAN_SECRET_KEY="")["secret key"] == "ok"


def test_the_file_is_nobody_elses(sqlite_terminal: Terminal) -> None:
    file = Path(sqlite_terminal.database.removeprefix("sqlite:///"))
    for mode, state in ((0o600, "ok"), (0o644, "warn"), (0o666, "fail")):
        file.chmod(mode)
        assert states(sqlite_terminal)["permissions"] == state


def test_it_makes_neither_a_key_nor_a_database(tmp_path: Path) -> None:
    shell = Terminal(f"sqlite:///{tmp_path}/none.db", tmp_path, DRAGOMAN_SECRET_KEY="")
    said = shell.run("doctor", "-o", "ndjson")
    assert said.exit_code == 1
    assert "not there yet" in said.stdout
    assert list(tmp_path.iterdir()) == []


def test_counters_that_lie(sqlite_terminal: Terminal) -> None:
    with sqlite3.connect(sqlite_terminal.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE counts SET n = n + 1")
    connection.close()
    said = sqlite_terminal.run("doctor", "-o", "json")
    assert said.exit_code == 1
    assert findings_by_subject(said)["counters"]["state"] == "fail"


def test_settings_that_are_wrong_are_findings(sqlite_terminal: Terminal) -> None:
    said = sqlite_terminal.run("doctor", DRAGOMAN_TENANT="", DRAGOMAN_NONSENSE="1")
    assert said.exit_code == 1
    assert len([line for line in said.stdout.splitlines() if line.startswith("fail")]) == 2


def test_a_database_that_is_away(tmp_path: Path) -> None:
    url = "postgresql://me:tr0mb0ne@127.0.0.1:1/users"
    shell = Terminal(url, tmp_path)
    said = shell.run("doctor")
    assert said.exit_code == 1
    assert "PostgreSQL, me@127.0.0.1:1/users" in said.stdout
    listed = shell.run("users", "list")
    listed.assert_refused(1, "the database cannot serve now")
    assert "tr0mb0ne" not in said.stdout + said.stderr + listed.stderr


@pytest.mark.parametrize(
    "address",
    ["me:x@y@h/d", "me:x?y@h/d", "me:x/y@h/d", "me:x y@h/d", "h/d?password=x@y", "me:1?xy@h/d"],
)
def test_no_address_shows_a_part_of_its_password(address: str) -> None:
    shown = describe_database(f"postgresql://{address}")
    assert "x" not in shown
    assert "y" not in shown


# --------------------------------------------------------------------------- migrate


def test_commands_ask_for_a_migration(blank_database: str, tmp_path: Path) -> None:
    terminal = Terminal(blank_database, tmp_path)
    terminal.run("users", "list").assert_refused(1, "dragoman migrate")
    assert terminal.run("doctor").exit_code == 1
    assert terminal.run("migrate").exit_code == 0
    assert "already" in terminal.run("migrate").stderr
    assert terminal.run("users", "list", "-o", "json").json() == []


def test_a_database_of_a_newer_program(sqlite_terminal: Terminal) -> None:
    with sqlite3.connect(sqlite_terminal.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for words in (["migrate"], ["users", "list"]):
        sqlite_terminal.run(*words).assert_refused(1, "newer than this program")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("not a database at all")
    Terminal(f"sqlite:///{file}", tmp_path).run("migrate").assert_refused(
        1, "is no SQLite database"
    )
    assert file.read_text() == "not a database at all"
    Terminal("sqlite:////nix/x.db", tmp_path).run("migrate").assert_refused(
        1, "does not exist: /nix"
    )


# --------------------------------------------------------------------------- outbox


@pytest.fixture
def terminal_with_mail(database_templates: DatabaseTemplates, tmp_path: Path) -> Any:
    """A shell on a database in which Mia has asked for a new password."""
    with database_templates.seeded("sqlite") as (url, _):

        async def request() -> None:
            async with open_directory(url, "") as directory:
                await request_reset(directory, MIA)

        asyncio.run(request())
        yield Terminal(url, tmp_path, DRAGOMAN_PUBLIC_URL="https://users.example.com")


def test_a_mail_that_waits_is_shown_with_its_link(terminal_with_mail: Terminal) -> None:
    (mail,) = terminal_with_mail.run("outbox", "-o", "json").json()
    assert mail["kind"] == "reset"
    assert mail["recipient"] == MIA
    assert mail["state"] == "waiting"
    assert mail["attempts"] == 0
    assert mail["last_error"] is None
    assert mail["created_at"].endswith("Z")
    base = "https://users.example.com/wiwebb/reset/"
    assert base in mail["text"]
    assert base in terminal_with_mail.run("outbox").stdout
    _, _, path = mail["text"].partition(base)
    assert terminal_with_mail.request("GET", f"/wiwebb/reset/{path.split()[0]}").status_code == 200


def test_without_the_servers_key_no_link_is_made_up(terminal_with_mail: Terminal) -> None:
    said = terminal_with_mail.run("outbox", "-o", "json", DRAGOMAN_SECRET_KEY="")
    assert [mail["text"] for mail in said.json()] == [None]
    assert "DRAGOMAN_SECRET_KEY" in said.stderr


def test_mails_that_failed_are_a_warning(terminal_with_mail: Terminal) -> None:
    with sqlite3.connect(terminal_with_mail.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE outbox SET failed_at = 1, last_error = 'no \x1b[31m such user'")
    connection.close()
    (mail,) = terminal_with_mail.run("outbox", "-o", "ndjson").lines()
    assert (mail["state"], mail["text"]) == ("failed", None)
    table = terminal_with_mail.run("outbox").stdout
    assert "no \\x1b[31m such user" in table
    assert states(terminal_with_mail)["outbox"] == "warn"


def test_mails_that_wait_too_long_are_a_warning(terminal_with_mail: Terminal) -> None:
    with sqlite3.connect(terminal_with_mail.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE outbox SET created_at = 1")
    connection.close()
    assert states(terminal_with_mail)["outbox"] == "ok"
    assert states(terminal_with_mail, DRAGOMAN_SMTP_URL="smtp://mail:25")["outbox"] == "warn"


def test_an_empty_outbox(terminal: Terminal) -> None:
    assert terminal.run("outbox", "-o", "json").json() == []
    assert len(terminal.run("outbox").stdout.splitlines()) == 1
    terminal.run("outbox", "--limit", "0").assert_refused(2)


def test_the_people_of_the_world_are_there(
    seeded_database: tuple[str, World], tmp_path: Path
) -> None:
    """What was done through a contract is seen here, on both databases."""
    url, world = seeded_database
    terminal = Terminal(url, tmp_path)
    shown = terminal.run("users", "show", "olga", "-o", "json").json()
    assert (shown["id"], shown["tenant"], shown["role"]) == (
        world.people["olga"].id,
        "acme",
        "owner",
    )
    assert terminal.request("GET", f"{API}/users/").status_code == 401
