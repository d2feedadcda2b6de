"""`dragoman doctor` speaks to the servers around the directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dragoman.jobs.doctor import FAIL, OK, WARN
from tests.support.canned_answers import answering
from tests.support.mail_servers import mail_server as running
from tests.support.terminal import Terminal


def test_the_mail_server(sqlite_terminal: Terminal) -> None:
    with running() as box:
        done = sqlite_terminal.run("doctor", DRAGOMAN_SMTP_URL=box.url)
    assert "ok    mail server: 127.0.0.1:" in done.stdout
    done = sqlite_terminal.run("doctor", DRAGOMAN_SMTP_URL="smtp://127.0.0.1:1")
    assert done.exit_code == 1
    line = next(each for each in done.stdout.splitlines() if "mail server:" in each)
    assert line.startswith("fail  mail server: 127.0.0.1:1: Connection refused; no mail is sent")
    assert " -> check host and port in DRAGOMAN_SMTP_URL" in line


def test_the_public_address(sqlite_terminal: Terminal) -> None:
    """Of the address that is set, and of the remembered one."""

    def found(**settings: str) -> dict[str, str]:
        done = sqlite_terminal.run("doctor", "-o", "json", **settings)
        return next(each for each in json.loads(done.stdout) if each["check"] == "public address")

    sqlite_terminal.execute("DELETE FROM server_state WHERE key IN ('instance', 'public_url')")
    sqlite_terminal.execute("INSERT INTO server_state VALUES ('instance', 'ours')")
    body = {"status": "ready", "directory": "ours"}
    with answering(200, body) as (url, _):
        assert found(DRAGOMAN_PUBLIC_URL=url)["state"] == OK
        sqlite_terminal.execute(f"INSERT INTO server_state VALUES ('public_url', '{url}')")
        assert found()["found"] == f"this directory answers at {url}"
    with answering(200, {**body, "directory": "theirs"}) as (url, _):
        assert found(DRAGOMAN_PUBLIC_URL=url)["state"] == FAIL
    assert found()["state"] == WARN


def test_servers_are_asked_without_a_database(tmp_path: Path) -> None:
    """Also if the database cannot be used; a wrong password of Redis is not shown."""
    terminal = Terminal("postgresql://nobody@127.0.0.1:1/nothing", tmp_path)
    redis = "redis://:geheim@127.0.0.1:1/0"
    done = terminal.run(
        "doctor", "-o", "json", DRAGOMAN_SMTP_URL="smtp://127.0.0.1:1", DRAGOMAN_REDIS=redis
    )
    found: dict[str, Any] = {each["check"]: each for each in json.loads(done.stdout)}
    assert found["database"]["state"] == found["mail server"]["state"] == FAIL
    assert found["redis"]["state"] == WARN
    assert "public address" not in found
    assert "geheim" not in done.stdout


def test_a_wrong_key(sqlite_terminal: Terminal) -> None:
    """What is wrong, what follows from it, and the command that mends it."""
    other = {"DRAGOMAN_SECRET_KEY": "ab" * 32}
    done = sqlite_terminal.run("doctor", "-o", "json", **other)
    assert done.exit_code == 1
    found = next(each for each in json.loads(done.stdout) if each["check"] == "server key")
    assert found["state"] == FAIL
    assert found["found"] == "not the one of this database"
    assert "servers do not start" in found["consequence"]
    assert "dragoman keys adopt" in found["advice"]
