"""SMTP client: one connection per batch of mails, with blocking calls in daemon threads."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from dragoman.jobs.daemon_threads import run_in_daemon_thread

TIMEOUT_S = 10.0
"""Timeout of a single SMTP command, in seconds."""
DEADLINE_S = 40.0
"""Timeout of one mail, connecting included, in seconds; shorter than the outbox lease."""
DEFAULT_PORTS = {"smtp": 25, "smtps": 465}
AUTH_REQUIRED = 530  # RFC 4954, section 6: concerns our login, not the recipient


class NotSent(Exception):
    """The mail was not sent.

    Args:
        summary: the type of the error and the SMTP code. Never the server's text, which may quote
            the mail.
        permanent: retrying is useless.
        outage: the error concerns the server or the settings, so it affects every mail.
    """

    def __init__(self, summary: str, *, permanent: bool = False, outage: bool = False) -> None:
        super().__init__(summary)
        self.summary = summary
        self.permanent = permanent
        self.outage = outage


class SmtpSession(msgspec.Struct, frozen=True):
    """What was agreed on with the mail server; ``greeting`` is how it names itself."""

    greeting: str
    encrypted: bool
    signed_in: bool


class SmtpClient:
    """A connection to the mail server, opened for the first mail.

    Args:
        url: ``smtp://user:pass@host:25``, or ``smtps://`` for implicit TLS. Certificates are always
            verified; a password is sent over TLS only.
        public_url: the public URL of this service; its host is the name in EHLO.
    """

    def __init__(self, url: str, public_url: str) -> None:
        self._url = url
        self._ehlo_name = _ehlo_hostname(public_url)
        self._smtp: Any = None
        self._aborted = False

    async def send(self, message: EmailMessage) -> None:
        """Send a message; raises NotSent."""
        connected = self._smtp is not None
        try:
            async with asyncio.timeout(DEADLINE_S):
                if not connected:
                    self._smtp = await run_in_daemon_thread(self._connect)
                    connected = True
                await run_in_daemon_thread(lambda: self._send_message(message))
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception as error:
            not_sent = _classify(error) if connected else NotSent(_summarise(error), outage=True)
            if not_sent is None:
                raise
            if not_sent.outage:
                self.abort()
            raise not_sent from None

    async def probe(self) -> SmtpSession:
        """Connect and sign in, and send nothing; raises OSError or ValueError.

        The error is the server's own; its text may quote what was sent, the password too.
        """
        import ssl

        async with asyncio.timeout(DEADLINE_S):
            smtp = self._smtp = await run_in_daemon_thread(self._connect)
        parts = urlsplit(self._url)
        greeting = (smtp.ehlo_resp or smtp.helo_resp or b"").decode("utf-8", "replace")
        encrypted = isinstance(smtp.sock, ssl.SSLSocket)
        return SmtpSession(greeting.partition("\n")[0], encrypted, bool(parts.username))

    async def close(self) -> None:
        """Quit the session and close the connection."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with contextlib.suppress(OSError):
                await run_in_daemon_thread(smtp.quit)
            _close_connection(smtp)

    def abort(self) -> None:
        """Close the connection at once, which also ends a thread that is waiting for the server."""
        smtp, self._smtp, self._aborted = self._smtp, None, True
        if smtp is not None:
            _close_connection(smtp)

    def _connect(self) -> Any:
        """Connect and log in (blocking); raises OSError or ValueError."""
        import smtplib
        import ssl

        parts = urlsplit(self._url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
        context = ssl.create_default_context()
        if parts.scheme == "smtps":
            smtp = smtplib.SMTP_SSL(host, port, self._ehlo_name, timeout=TIMEOUT_S, context=context)
        else:
            smtp = smtplib.SMTP(host, port, self._ehlo_name, timeout=TIMEOUT_S)
        try:
            smtp.ehlo_or_helo_if_needed()
            if parts.scheme == "smtp" and (parts.username or smtp.has_extn("starttls")):
                smtp.starttls(context=context)
                smtp.ehlo_or_helo_if_needed()
            if parts.username:
                smtp.login(unquote(parts.username), unquote(parts.password or ""))
            if self._aborted:
                raise TimeoutError
        except BaseException:
            _close_connection(smtp)
            raise
        return smtp

    def _send_message(self, message: EmailMessage) -> None:
        sender, recipient = (message[name].addresses[0].addr_spec for name in ("From", "To"))
        self._smtp.send_message(message, sender, [recipient])


def _classify(error: Exception) -> NotSent | None:
    """Return what an error means for this mail and the others; None for a bug in this program."""
    import smtplib

    summary = _summarise(error)
    code = _smtp_code(error)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return NotSent(summary, permanent=True)  # SMTPUTF8 (RFC 6531) for this address
    if isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError):
        permanent = 500 <= code < 600 and code != AUTH_REQUIRED
        return NotSent(summary, permanent=permanent, outage=code in {421, AUTH_REQUIRED})
    return NotSent(summary, outage=True) if isinstance(error, OSError) else None


def _summarise(error: Exception) -> str:
    code = _smtp_code(error)
    return type(error).__name__ + (f" {code}" if code else "")


def _smtp_code(error: Exception) -> int:
    refused_recipients: dict[str, tuple[int, bytes]] = getattr(error, "recipients", {})
    codes = [code for code, _ in refused_recipients.values()]
    return codes[0] if codes else int(getattr(error, "smtp_code", 0))


def _ehlo_hostname(url: str) -> str:
    """Return the EHLO name of a URL's host (RFC 5321, 4.1.1.1): a domain or an address literal."""
    host = urlsplit(url).hostname or "localhost"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    return f"[{'IPv6:' if address.version == 6 else ''}{address}]"


def _close_connection(smtp: Any) -> None:
    import socket

    connection = smtp.sock
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        smtp.close()
