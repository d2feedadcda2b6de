"""The doctor speaks to the mail server, and tells what it says."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dragoman.jobs.doctor import FAIL, OK, mail_server
from dragoman.jobs.doctor.finding import Finding
from dragoman.jobs.mail import smtp
from dragoman.settings import Settings
from tests.support.mail_servers import certificate, silent_server
from tests.support.mail_servers import mail_server as running

pytestmark = pytest.mark.anyio
PASSWORD = "pa ss:w@rd/"
QUOTED = "pa%20ss%3Aw%40rd%2F"


async def finding(url: str) -> Finding:
    return await mail_server.check(Settings(smtp_url=url, public_url="https://users.example.com"))


async def test_nothing_is_sent():
    with running() as box:
        found = await finding(box.url)
    assert found.state == OK
    where = box.url.removeprefix("smtp://")
    assert found.found.startswith(f"{where} answers as ")
    assert found.found.endswith(" (not encrypted)")
    assert box.greeting == "users.example.com"
    assert (box.recipients, box.mails) == ([], [])


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_it_signs_in_over_tls(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    tls = {"starttls": context} if scheme == "smtp" else {"tls": context}
    options = {} if scheme == "smtp" else {"auth_require_tls": False}
    with running(password=True, **tls, **options) as box:
        url = box.url.replace("smtp://", f"{scheme}://post:{QUOTED}@")
        found = await finding(url)
        assert (found.state, box.logins) == (OK, [(b"post", PASSWORD.encode())])
        assert found.found.endswith(" (encrypted, signed in)")
        refused = await finding(url.replace(QUOTED, "wrong"))
    assert refused.state == FAIL
    assert "it says: 535 5.7.8 Authentication credentials invalid" in refused.found
    assert "user and password in DRAGOMAN_SMTP_URL" in refused.advice
    assert "wrong" not in f"{refused}"


async def test_a_certificate_that_is_not_trusted(tmp_path: Path):
    context, _ = certificate(tmp_path)
    with running(starttls=context) as box:
        found = await finding(box.url)
    assert found.state == FAIL
    assert "certificate is not valid: self" in found.found


async def test_a_password_is_not_sent_without_tls():
    with running() as box:
        found = await finding(box.url.replace("smtp://", "smtp://post:secret@"))
        assert box.logins == []
    assert found.state == FAIL
    assert "STARTTLS" in found.found
    assert "smtps://" in found.advice


async def test_nobody_and_silence(monkeypatch: pytest.MonkeyPatch):
    nobody = await finding("smtp://127.0.0.1:1")
    assert (nobody.state, nobody.found) == (FAIL, "127.0.0.1:1: Connection refused")
    monkeypatch.setattr(smtp, "TIMEOUT_S", 0.1)
    with silent_server() as url:
        silent = await finding(url)
    assert "timed out" in silent.found


@contextmanager
def scripted(*replies: bytes) -> Generator[str]:
    """A mail server that gives these replies, one for each line, and ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                for reply in replies:
                    connection.sendall(reply + b"\r\n")
                    lines.readline()

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


async def test_what_it_says_is_shown_without_control_characters():
    with scripted(b"554 go away\x1b[31m, you") as url:
        found = await finding(url)
    assert found.found.endswith("it says: 554 go away [31m, you")


@pytest.mark.parametrize(
    "said", [PASSWORD, base64.b64encode(f"\0post\0{PASSWORD}".encode()).decode()]
)
def test_the_password_is_never_repeated(said: str):
    import smtplib

    error = smtplib.SMTPAuthenticationError(535, f"AUTH PLAIN {said} is wrong".encode())
    found, _ = mail_server._describe(error, f"smtp://post:{QUOTED}@mail.test")
    assert found == "it says: 535 AUTH PLAIN *** is wrong"
