"""The SMTP client: TLS, passwords, refused mails and unresponsive servers."""

from __future__ import annotations

import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest

from dragoman.jobs.mail import messages, smtp
from dragoman.jobs.mail.messages import Email
from dragoman.jobs.mail.smtp import NotSent, SmtpClient
from tests.support.mail_servers import certificate, mail_server, silent_server
from tests.support.server import free_port

pytestmark = pytest.mark.anyio

HERE = "https://users.example.com"
EMAIL = Email(
    template="reset",
    recipient="mia@acme.test",
    subject="Choose a new password",
    context={"link": f"{HERE}/wiwebb/reset/u/s", "hours": 1, "until": "2026-01-01 12:00 UTC"},
)
LOGIN = "post%40acme:pa%20ss%3Aw%40rd%2F@"  # post@acme and pa ss:w@rd/


def email_to(recipient: str) -> EmailMessage:
    letter = msgspec.structs.replace(EMAIL, recipient=recipient)
    return messages.compose(letter, sender="Dragoman <post@acme.test>", message_id="m1", sent_at=0)


async def send(url: str, recipient: str = "mia@acme.test") -> None:
    connection = SmtpClient(url, HERE)
    try:
        await connection.send(email_to(recipient))
        await connection.close()
    finally:
        connection.abort()


async def send_error(url: str, recipient: str = "mia@acme.test") -> tuple[str, bool, bool]:
    with pytest.raises(NotSent) as caught:
        await send(url, recipient)
    return caught.value.summary, caught.value.permanent, caught.value.outage


async def test_a_plain_server_gets_the_mail_and_our_name() -> None:
    with mail_server() as server:
        await send(server.url)
    assert len(server.mails) == 1
    assert server.greeting == "users.example.com"
    assert server.recipients == ["mia@acme.test"]
    assert not server.encrypted


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://users.example.com/base", "users.example.com"),
        ("http://127.0.0.1:8000", "[127.0.0.1]"),
        ("http://[::1]:8000", "[IPv6:::1]"),
        ("https://bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_name_by_which_we_greet(url: str, name: str) -> None:
    assert smtp._ehlo_hostname(url) == name


async def test_starttls_is_used_where_offered_and_a_password_goes_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with mail_server(starttls=context, password=True) as server:
        await send(server.url.replace("//", f"//{LOGIN}"))
    assert server.logins == [(b"post@acme", b"pa ss:w@rd/")]
    assert server.encrypted
    assert len(server.mails) == 1


async def test_tls_from_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with mail_server(tls=context) as server:
        await send(server.url.replace("smtp:", "smtps:"))
    assert server.encrypted
    assert len(server.mails) == 1


@pytest.mark.parametrize("login", ["", LOGIN])
async def test_a_certificate_that_nobody_vouches_for_gets_nothing(
    tmp_path: Path, login: str
) -> None:
    context, _ = certificate(tmp_path)
    with mail_server(starttls=context, password=bool(login)) as server:
        refused = await send_error(server.url.replace("//", f"//{login}"))
    assert refused == ("SSLCertVerificationError", False, True)
    assert not server.logins
    assert not server.mails


async def test_a_certificate_for_another_host_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate(tmp_path, host="127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with mail_server(tls=context) as server:
        refused = await send_error(server.url.replace("smtp:", "smtps:"))
    assert refused == ("SSLCertVerificationError", False, True)
    assert not server.mails


async def test_a_password_never_goes_over_a_plain_connection() -> None:
    with mail_server(password=True) as server:
        refused = await send_error(server.url.replace("//", f"//{LOGIN}"))
    assert refused == ("SMTPNotSupportedError", False, True)
    assert not server.logins


async def test_a_wrong_password_is_our_fault_not_the_mails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with mail_server(starttls=context, password=True) as server:
        refused = await send_error(server.url.replace("//", "//post:wrong@"))
    assert refused == ("SMTPAuthenticationError 535", False, True)


@pytest.mark.parametrize(
    ("answer", "permanent", "outage"),
    [
        ("550 no such mailbox", True, False),
        ("450 come back later", False, False),
        ("530 who are you", False, True),
        ("421 closing", False, True),
    ],
)
async def test_what_a_refused_recipient_means(answer: str, permanent: bool, outage: bool) -> None:
    with mail_server() as server:
        server.answers["mia@acme.test"] = answer
        refused = await send_error(server.url)
    assert refused == (f"SMTPRecipientsRefused {answer[:3]}", permanent, outage)


@pytest.mark.parametrize(("answer", "permanent"), [("554 no thanks", True), ("452 full", False)])
async def test_what_a_refused_mail_means(answer: str, permanent: bool) -> None:
    with mail_server() as server:
        server.data = answer
        refused = await send_error(server.url)
    assert refused == (f"SMTPDataError {answer[:3]}", permanent, False)


async def test_a_connection_serves_on_after_a_refusal() -> None:
    with mail_server() as server:
        server.answers["gus@globex.test"] = "550 no such mailbox"
        connection = SmtpClient(server.url, HERE)
        with pytest.raises(NotSent):
            await connection.send(email_to("gus@globex.test"))
        await connection.send(email_to("mia@acme.test"))
        await connection.close()
    assert server.connections == 1
    assert len(server.mails) == 1


async def test_nobody_listens() -> None:
    assert await send_error(f"smtp://127.0.0.1:{free_port()}") == (
        "ConnectionRefusedError", False, True,
    )  # fmt: skip


@pytest.mark.parametrize("url", ["smtp://127.0.0.1:port", "smtp://127.0.0.1:99999"])
async def test_an_address_that_cannot_be_read_is_an_outage(url: str) -> None:
    assert await send_error(url) == ("ValueError", False, True)


async def test_silence_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT_S", 0.3)
    with silent_server() as url:
        began = time.monotonic()
        assert await send_error(url) == ("SMTPServerDisconnected", False, True)
        assert time.monotonic() - began < 3


async def test_a_server_that_drips_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "DEADLINE_S", 0.5)
    with silent_server(drip_bytes=b"2") as url:
        began = time.monotonic()
        assert await send_error(url) == ("TimeoutError", False, True)
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("recipient", "wire"),
    [("mia@bücher.test", "mia@xn--bcher-kva.test"), ("müller@acme.test", "müller@acme.test")],
)
async def test_addresses_beyond_ascii_arrive(recipient: str, wire: str) -> None:
    with mail_server(enable_SMTPUTF8=True) as server:
        await send(server.url, recipient)
    assert server.recipients == [wire]
    assert str(server.mails[0]["To"]) == wire


async def test_an_address_beyond_ascii_fails_for_good_where_the_server_is_older() -> None:
    with mail_server(enable_SMTPUTF8=False) as server:
        assert await send_error(server.url, "müller@acme.test") == (
            "SMTPNotSupportedError", True, False,
        )  # fmt: skip
        await send(server.url, "mia@bücher.test")
    assert server.recipients == ["mia@xn--bcher-kva.test"]


@pytest.mark.parametrize(
    "address",
    [
        "mia@acme.test\r\nBcc: eve@evil.test",
        "mia@acme.test\nBcc: eve@evil.test",
        "mia@acme.test\rBcc: eve@evil.test",
        "mia@acme.test, eve@evil.test",
        "mia@acme.test eve@evil.test",
        "Mia <mia@acme.test>",
        "mia@acme.test\u2028Bcc: eve@evil.test",
        "mia@bücher.test\r\nBcc: eve@evil.test",
        '"a\r\nb"@acme.test',
        "mia@acme.test\x00",
        "",
    ],
)
def test_no_address_breaks_out_of_its_header(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        email_to(address)


def test_no_sender_breaks_out_of_its_header() -> None:
    for sender in ("Eve\r\nBcc: eve@evil.test <a@b.test>", "a@b.test\nBcc: eve@evil.test"):
        with pytest.raises(ValueError, match="linefeed"):
            messages.compose(EMAIL, sender=sender, message_id="m", sent_at=0)


def test_html_in_a_fact_stays_text() -> None:
    letter = msgspec.structs.replace(EMAIL, context={**EMAIL.context, "until": '<a href="x">'})
    message = messages.compose(letter, sender="a@b.test", message_id="m", sent_at=0)
    rich = message.get_body(("html",))
    assert rich is not None
    assert "&lt;a href=&#34;x&#34;&gt;" in rich.get_content()


def test_an_idle_server_holds_no_mail_program_in_memory() -> None:
    program = (
        "import sys; import dragoman.jobs.mail_delivery, dragoman.jobs.background; "
        "print([n for n in ('smtplib', 'jinja2') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
