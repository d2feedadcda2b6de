"""The way to the mail server: one connection for one batch, in threads that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from email.message import EmailMessage

T = TypeVar("T")

TIMEOUT_S = 10.0
"""How long one step of the conversation may take."""
DEADLINE_S = 40.0
"""How long all of it may take for one mail; less than a lease."""
DEFAULT_PORTS = {"smtp": 25, "smtps": 465}
AUTH_REQUIRED = 530  # RFC 4954, 6: it is we who are refused, not the recipient


class NotSent(Exception):
    """The mail has not gone out.

    Attributes:
        error: the kind of the fault and the server's code, without any of its words.
        permanent: it never will.
        outage: it is the server's fault, or ours, not this mail's: the others fare alike.
    """

    def __init__(self, summary: str, *, permanent: bool = False, outage: bool = False) -> None:
        super().__init__(summary)
        self.summary = summary
        self.permanent = permanent
        self.outage = outage


class SmtpClient:
    """A connection to the mail server, made when the first mail needs it.

    Args:
        url: ``smtp://user:pass@host:25``; ``smtps://`` speaks TLS from the first byte.
            Certificates are always verified; with a password TLS is a must.
        own_url: our public address; its host is the name by which we greet.
    """

    def __init__(self, url: str, public_url: str) -> None:
        self._url = url
        self._ehlo_name = _ehlo_hostname(public_url)
        self._smtp: Any = None
        self._aborted = False

    async def send(self, message: EmailMessage) -> None:
        """Hand a message over; raises NotSent."""
        connected = self._smtp is not None
        try:
            async with asyncio.timeout(DEADLINE_S):
                if not connected:
                    self._smtp = await _run_in_daemon_thread(self._connect)
                    connected = True
                await _run_in_daemon_thread(lambda: self._send_message(message))
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

    async def close(self) -> None:
        """Say goodbye."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with contextlib.suppress(OSError):
                await _run_in_daemon_thread(smtp.quit)
            _close_connection(smtp)

    def abort(self) -> None:
        """Hang up without a word; a thread that still waits for the server ends by it."""
        smtp, self._smtp, self._aborted = self._smtp, None, True
        if smtp is not None:
            _close_connection(smtp)

    def _connect(self) -> Any:
        """Connect, in a thread, and say who we are; raises OSError, ValueError."""
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
    """Say what a fault means for the mail and for the others; None: it is a bug of ours."""
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
    """Return our name for EHLO (RFC 5321, 4.1.1.1): a domain, or an address in brackets."""
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


async def _run_in_daemon_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread of its own, for which not even the end of the program waits.

    A pool would be joined at the end: a silent mail server would then hold up the shutdown.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def resolve(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            outcome: tuple[T | None, BaseException | None] = (work(), None)
        except BaseException as error:
            outcome = (None, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(resolve, *outcome)

    threading.Thread(target=run, name="mail", daemon=True).start()
    return await future
