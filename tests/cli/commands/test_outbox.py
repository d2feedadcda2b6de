"""`dragoman outbox retry`, `outbox drop` and `outbox --send-test`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.mail_servers import mail_server
from tests.support.server import free_port
from tests.support.terminal import Terminal


def mails(terminal: Terminal) -> list[dict[str, Any]]:
    return terminal.run("outbox", "-o", "json").json()


@pytest.fixture
def waiting(terminal: Terminal) -> Terminal:
    """A terminal with one waiting mail, its id 1."""
    terminal.create("olga")
    assert terminal.run("users", "send-link", "olga").exit_code == 0
    return terminal


def test_retry_of_a_mail_that_was_given_up(waiting: Terminal) -> None:
    waiting.execute("UPDATE outbox SET failed_at = 1, attempts = 9, last_error = 'SMTP 550'")
    assert mails(waiting)[0]["state"] == "failed"
    result = waiting.run("outbox", "retry", "--all-failed")
    assert result.exit_code == 0
    assert "Mail 1 to olga@acme.test is due now" in result.stderr
    assert "No mail server is set" in result.stderr
    (mail,) = mails(waiting)
    assert (mail["state"], mail["attempts"]) == ("waiting", 0)
    (entry,) = waiting.run("history", "--action", "outbox.retry", "-o", "json").json()
    assert (entry["target_kind"], entry["target_id"]) == ("mail", 1)


def test_retry_leaves_alone_what_is_being_sent(waiting: Terminal) -> None:
    """A mail that a worker has leased is due within a minute: it would be sent twice."""
    waiting.execute("UPDATE outbox SET due_at = due_at + 50000000, attempts = 1")
    assert waiting.run("outbox", "retry", "1").exit_code == 0
    assert mails(waiting)[0]["attempts"] == 1
    assert waiting.run("history", "--action", "outbox.retry", "-o", "json").json() == []
    waiting.execute("UPDATE outbox SET due_at = due_at + 7200000000")
    assert waiting.run("outbox", "retry", "1").exit_code == 0
    assert mails(waiting)[0]["attempts"] == 0


def test_refused(waiting: Terminal) -> None:
    waiting.run("outbox", "retry", "7").assert_refused(3, "mail 7 not found")
    waiting.run("outbox", "drop", "7").assert_refused(3, "mail 7 not found")
    waiting.run("outbox", "retry").assert_refused(2, "either ID or --all-failed")
    waiting.run("outbox", "--send-test", "a@b.test", "drop", "1").assert_refused(2, "--send-test")
    waiting.execute("UPDATE outbox SET sent_at = 1")
    waiting.run("outbox", "retry", "1").assert_refused(4, "mail 1 was sent already")


def test_drop(waiting: Terminal) -> None:
    result = waiting.run("outbox", "drop", "1", "2")
    assert result.exit_code == 5
    assert "Deleted mail 1" in result.stderr
    assert "2: mail 2 not found" in result.stderr
    assert mails(waiting) == []
    (entry,) = waiting.run("history", "--action", "outbox.drop", "-o", "json").json()
    assert entry["target_id"] == 1


def test_send_test(sqlite_terminal: Terminal) -> None:
    with mail_server() as server:
        settings = {"DRAGOMAN_SMTP_URL": server.url, "DRAGOMAN_MAIL_FROM": "office@acme.test"}
        away = {"DRAGOMAN_DATABASE": "postgresql://nobody@127.0.0.1:1/none"}  # it needs none
        words = ("outbox", "--send-test", "olga@acme.test")
        result = sqlite_terminal.run(*words, **settings, **away)
        assert result.exit_code == 0, result.stderr
        assert "accepted a test mail to olga@acme.test, from office@acme.test" in result.stderr
        (mail,) = server.mails
        assert mail["To"] == "olga@acme.test"
        server.answers["olga@acme.test"] = "550 no such person"
        sqlite_terminal.run(*words, **settings).assert_refused(
            1, "not sent: SMTPRecipientsRefused 550"
        )
    assert mails(sqlite_terminal) == []


def test_send_test_without_a_mail_server(sqlite_terminal: Terminal) -> None:
    words = ("outbox", "--send-test", "olga@acme.test")
    sqlite_terminal.run(*words).assert_refused(1, "see DRAGOMAN_SMTP_URL")
    url = f"smtp://127.0.0.1:{free_port()}"
    sqlite_terminal.run(*words, DRAGOMAN_SMTP_URL=url).assert_refused(
        1, "not sent: ConnectionRefusedError", "see DRAGOMAN_SMTP_URL"
    )
    sqlite_terminal.run("outbox", "--send-test", "nix").assert_refused(2, "not a valid e-mail")
