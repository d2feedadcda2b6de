"""`dragoman doctor`, `migrate` and `outbox`."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dragoman import app
from dragoman.jobs.doctor import describe_database
from tests.support.databases import SECRET_KEY, DatabaseTemplates, settings_for
from tests.support.outboxes import MIA, open_directory, request_reset
from tests.support.terminal import API, CommandResult, Terminal
from tests.support.world import World


def findings_by_subject(result: CommandResult) -> dict[str, dict[str, Any]]:
    """Return the findings by the name of the check."""
    import json

    return {finding["check"]: finding for finding in json.loads(result.stdout)}


def states(terminal: Terminal, **settings: str) -> dict[str, str]:
    """Return the states by the name of the check."""
    findings = findings_by_subject(terminal.run("doctor", "-o", "json", **settings))
    return {check: finding["state"] for check, finding in findings.items()}


def test_doctor_on_a_healthy_directory(terminal: Terminal) -> None:
    result = terminal.run("doctor")
    assert result.exit_code == 0
    assert not [line for line in result.stdout.splitlines() if line.startswith("fail")]
    assert terminal.settings["DRAGOMAN_SECRET_KEY"] not in result.stdout
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
            "settings",
            "fail",
        ),
        ({"ANONYMOUS_RATE": "off"}, "anonymous rate", "warn"),
        ({"SMTP_URL": "smtp://mail:25"}, "mail", "warn"),
        ({"SMTP_URL": "smtp://mail:25", "MAIL_FROM": "office@acme.test"}, "mail", "ok"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8"}, "trusted proxies", "ok"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8,0.0.0.0/0"}, "trusted proxies", "warn"),
        ({"ADMIN_PASSWORD": "violet-Kettle-42"}, "first superadmin", "warn"),
        ({}, "secret key", "ok"),
    ],
)
def test_settings_are_checked(
    sqlite_terminal: Terminal, settings: dict[str, str], check: str, state: str
) -> None:
    given = {f"DRAGOMAN_{name}": value for name, value in settings.items()}
    result = sqlite_terminal.run("doctor", "-o", "json", **given)
    finding = findings_by_subject(result)[check]
    assert finding["state"] == state, finding
    assert bool(finding["advice"]) == bool(finding["consequence"]) == (state != "ok")
    failed = any(each["state"] == "fail" for each in findings_by_subject(result).values())
    assert result.exit_code == failed
    assert "violet-Kettle-42" not in result.stdout


def test_sign_ups_are_counted(terminal: Terminal) -> None:
    def finding() -> dict[str, str]:
        return findings_by_subject(terminal.run("doctor", "-o", "json"))["sign-ups"]

    assert finding()["found"] == "0 not approved, 0 with an unproven e-mail address"
    terminal.sign_up("mia")
    assert finding()["found"] == "1 not approved, 1 with an unproven e-mail address"
    assert finding()["state"] == "ok"
    terminal.execute("UPDATE users SET approved = TRUE WHERE signed_up")
    assert finding()["state"] == "warn"
    assert "users list --unproven --from-sign-up" in finding()["advice"]
    terminal.run("users", "approve", "mia", "--proven")
    assert (finding()["state"], finding()["found"][:30]) == ("ok", "0 not approved, 0 with an unpr")


def test_permissions_of_the_key_file(sqlite_terminal: Terminal) -> None:
    key = Path(sqlite_terminal.database.removeprefix("sqlite:///")).with_name("dragoman.key")
    key.write_text("ab" * 32)
    key.chmod(0o640)
    assert states(sqlite_terminal, DRAGOMAN_SECRET_KEY="")["secret key"] == "fail"
    key.chmod(0o600)
    assert states(sqlite_terminal, DRAGOMAN_SECRET_KEY="")["secret key"] == "ok"


def test_permissions_of_the_database_file(sqlite_terminal: Terminal) -> None:
    file = Path(sqlite_terminal.database.removeprefix("sqlite:///"))
    for mode, state in ((0o600, "ok"), (0o644, "warn"), (0o666, "fail")):
        file.chmod(mode)
        assert states(sqlite_terminal)["permissions"] == state


def test_doctor_creates_no_files(tmp_path: Path) -> None:
    shell = Terminal(f"sqlite:///{tmp_path}/none.db", tmp_path, DRAGOMAN_SECRET_KEY="")
    result = shell.run("doctor", "-o", "ndjson")
    assert result.exit_code == 1
    assert "does not exist yet" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_wrong_counters_fail(sqlite_terminal: Terminal) -> None:
    with sqlite3.connect(sqlite_terminal.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE counts SET n = n + 1")
    connection.close()
    result = sqlite_terminal.run("doctor", "-o", "json")
    assert result.exit_code == 1
    assert findings_by_subject(result)["counters"]["state"] == "fail"


def test_wrong_settings_are_findings(sqlite_terminal: Terminal) -> None:
    result = sqlite_terminal.run("doctor", DRAGOMAN_TENANT="", DRAGOMAN_NONSENSE="1")
    assert result.exit_code == 1
    assert len([line for line in result.stdout.splitlines() if line.startswith("fail")]) == 2


def test_unreachable_database(tmp_path: Path) -> None:
    url = "postgresql://me:tr0mb0ne@127.0.0.1:1/users"
    shell = Terminal(url, tmp_path)
    result = shell.run("doctor")
    assert result.exit_code == 1
    assert "PostgreSQL, me@127.0.0.1:1/users" in result.stdout
    listed = shell.run("users", "list")
    listed.assert_refused(1, "the database is unavailable")
    assert "tr0mb0ne" not in result.stdout + result.stderr + listed.stderr


@pytest.mark.parametrize(
    "address",
    ["me:x@y@h/d", "me:x?y@h/d", "me:x/y@h/d", "me:x y@h/d", "h/d?password=x@y", "me:1?xy@h/d"],
)
def test_described_database_hides_the_password(address: str) -> None:
    shown = describe_database(f"postgresql://{address}")
    assert "x" not in shown
    assert "y" not in shown


# --------------------------------------------------------------------------- migrate


def test_commands_require_migrations(blank_database: str, tmp_path: Path) -> None:
    terminal = Terminal(blank_database, tmp_path)
    terminal.run("users", "list").assert_refused(1, "dragoman migrate")
    assert terminal.run("doctor").exit_code == 1
    assert terminal.run("migrate").exit_code == 0
    assert "already" in terminal.run("migrate").stderr
    assert terminal.run("users", "list", "-o", "json").json() == []


def test_database_of_a_newer_program(sqlite_terminal: Terminal) -> None:
    with sqlite3.connect(sqlite_terminal.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for words in (["migrate"], ["users", "list"]):
        sqlite_terminal.run(*words).assert_refused(1, "newer than this program")


def test_file_that_is_not_a_database(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("not a database at all")
    Terminal(f"sqlite:///{file}", tmp_path).run("migrate").assert_refused(
        1, "not a SQLite database"
    )
    assert file.read_text() == "not a database at all"
    Terminal("sqlite:////nix/x.db", tmp_path).run("migrate").assert_refused(
        1, "does not exist: /nix"
    )


# --------------------------------------------------------------------------- outbox


@pytest.fixture
def terminal_with_mail(database_templates: DatabaseTemplates, tmp_path: Path) -> Any:
    """A terminal on a database in which Mia has requested a password reset."""
    with database_templates.seeded("sqlite") as (url, _):

        async def request() -> None:
            async with open_directory(url, "") as directory:
                await request_reset(directory, MIA)

        asyncio.run(request())
        yield Terminal(url, tmp_path, DRAGOMAN_PUBLIC_URL="https://users.example.com")


def test_waiting_mail_is_shown_with_its_link(terminal_with_mail: Terminal) -> None:
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


def test_no_text_without_the_server_key(terminal_with_mail: Terminal) -> None:
    result = terminal_with_mail.run("outbox", "-o", "json", DRAGOMAN_SECRET_KEY="")
    assert [mail["text"] for mail in result.json()] == [None]
    assert "DRAGOMAN_SECRET_KEY" in result.stderr


def test_failed_mails_are_a_warning(terminal_with_mail: Terminal) -> None:
    with sqlite3.connect(terminal_with_mail.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE outbox SET failed_at = 1, last_error = 'no \x1b[31m such user'")
    connection.close()
    (mail,) = terminal_with_mail.run("outbox", "-o", "ndjson").lines()
    assert (mail["state"], mail["text"]) == ("failed", None)
    table = terminal_with_mail.run("outbox").stdout
    assert "no \\x1b[31m such user" in table
    assert states(terminal_with_mail)["outbox"] == "warn"


def test_delayed_mails_are_a_warning(terminal_with_mail: Terminal) -> None:
    with sqlite3.connect(terminal_with_mail.database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE outbox SET created_at = 1")
    connection.close()
    assert states(terminal_with_mail)["outbox"] == "ok"
    assert states(terminal_with_mail, DRAGOMAN_SMTP_URL="smtp://mail:25")["outbox"] == "warn"


def test_empty_outbox(terminal: Terminal) -> None:
    assert terminal.run("outbox", "-o", "json").json() == []
    assert len(terminal.run("outbox").stdout.splitlines()) == 1
    terminal.run("outbox", "--limit", "0").assert_refused(2)


def test_seeded_users_are_shown(seeded_database: tuple[str, World], tmp_path: Path) -> None:
    """Users created through a contract are shown, on both databases."""
    url, world = seeded_database
    terminal = Terminal(url, tmp_path)
    shown = terminal.run("users", "show", "olga", "-o", "json").json()
    assert (shown["id"], shown["tenant"], shown["role"]) == (
        world.people["olga"].id,
        "acme",
        "owner",
    )
    assert terminal.request("GET", f"{API}/users/").status_code == 401


def test_links_lead_to_the_server_that_started_last(terminal: Terminal) -> None:
    served = settings_for(terminal.database, public_url="http://127.0.0.1:8221")
    asyncio.run(app.migrate_and_bootstrap(served))
    body = {"email": "admin@localhost"}
    terminal.request("POST", "/wiwebb/api/v1/auth/password/reset/", json=body)
    assert "http://127.0.0.1:8221/wiwebb/reset/" in terminal.run("outbox").stdout
    given = {"DRAGOMAN_PUBLIC_URL": "https://users.example.com/dir"}
    assert "https://users.example.com/dir/wiwebb/reset/" in terminal.run("outbox", **given).stdout


def test_mails_are_not_shown_with_another_key(terminal: Terminal) -> None:
    body = {"email": "admin@localhost"}
    terminal.request("POST", "/wiwebb/api/v1/auth/password/reset/", json=body)
    result = terminal.run("outbox", DRAGOMAN_SECRET_KEY="cd" * 32)
    assert "/reset/" not in result.stdout
    assert "is not this database's" in result.stderr


def test_without_a_key_the_doctor_names_it(sqlite_terminal: Terminal) -> None:
    result = sqlite_terminal.run("doctor", "-o", "json", DRAGOMAN_SECRET_KEY="")
    findings = findings_by_subject(result)
    assert findings["secret key"]["state"] == "warn"
    assert findings["server key"]["state"] == "fail"
    assert "missing" in findings["server key"]["found"]
    assert result.exit_code == 1


@pytest.mark.parametrize(("mode", "state"), [(0o600, "ok"), (0o640, "warn"), (0o604, "warn")])
def test_files_with_secrets_are_private(
    sqlite_terminal: Terminal, tmp_path: Path, mode: int, state: str
) -> None:
    path = tmp_path / "key"
    path.write_text(SECRET_KEY.hex())
    path.chmod(mode)
    del sqlite_terminal.settings["DRAGOMAN_SECRET_KEY"]
    result = sqlite_terminal.run("doctor", "-o", "json", DRAGOMAN_SECRET_KEY_FILE=str(path))
    finding = findings_by_subject(result)["secret files"]
    assert finding["state"] == state
    assert "DRAGOMAN_SECRET_KEY_FILE" in finding["found"]
    assert result.exit_code == 0
