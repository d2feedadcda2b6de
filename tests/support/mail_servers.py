"""Mail servers as they are found in the world: with TLS, with passwords, with moods, silent."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.mailbox import Mailbox
from tests.support.server import free_port


class MailServer(Mailbox):
    """A mailbox that can refuse, and remembers how it was spoken to.

    ``answers`` holds the reply to a recipient (``RCPT TO``), ``data`` that to a whole mail.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, str] = {}
        self.data = ""
        self.connections = 0
        self.logins: list[tuple[bytes, bytes]] = []
        self.recipients: list[str] = []
        self.greeting = ""
        self.encrypted = False

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        self.greeting = session.host_name = hostname
        return responses

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        answer = self.answers.get(address, "")
        if not answer:
            envelope.rcpt_tos.append(address)
            self.recipients.append(address)
        return answer or "250 fine"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.data:
            return self.data
        self.encrypted = session.ssl is not None or server.transport.get_extra_info("ssl_object")
        return await super().handle_DATA(server, session, envelope)

    def authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, given: Any
    ) -> AuthResult:
        self.logins.append((given.login, given.password))
        return AuthResult(success=given.password == b"pa ss:w@rd/", handled=False)


@contextlib.contextmanager
def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None,
    password: bool = False, port: int = 0, **more: Any,
) -> Generator[MailServer]:  # fmt: skip
    """Run one: with STARTTLS or TLS from the start, and a password that it asks for."""
    box = MailServer()
    port = port or free_port()
    if password:
        over_tls = starttls is not None
        more |= {"auth_required": over_tls, "auth_require_tls": over_tls}
        more["authenticator"] = box.authenticate
    controller = Controller(
        box, hostname="127.0.0.1", port=port, ssl_context=tls, tls_context=starttls, **more
    )
    controller.start()
    box.connections = 0
    box.url = f"smtp://127.0.0.1:{port}"
    try:
        yield box
    finally:
        controller.stop()


@contextlib.contextmanager
def silent_server(*, drip_bytes: bytes = b"") -> Generator[str]:
    """Listen and never say a word; or ``drip``, a byte every tenth of a second, for ever."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        talker = threading.Thread(target=_talk, args=(listener, drip_bytes, ended))
        talker.start()
        try:
            yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            talker.join()


def _talk(listener: socket.socket, drip: bytes, ended: threading.Event) -> None:
    open_ones: list[socket.socket] = []
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            open_ones.append(listener.accept()[0])
        for connection in open_ones:
            with contextlib.suppress(OSError):
                connection.sendall(drip)
        if drip:
            time.sleep(0.05)
    for connection in open_ones:
        connection.close()


def certificate(folder: Path, *, host: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """Make a certificate that signs itself; returns a server's context and the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "server.pem", folder / "server.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
