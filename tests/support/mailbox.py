"""A mail server inside the tests that keeps what it is given."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Generator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.support.server import free_port

PATIENCE_S = 5.0


class Mailbox:
    """What was sent, in order; the handler of an SMTP server on ``url``."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.url = ""
        self._read: set[int] = set()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep a mail."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 kept"

    async def next_mail_to(self, address: str) -> EmailMessage | None:
        """Return the oldest mail to an address that was not asked for yet; wait for it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for index, mail in enumerate(self.mails):
                if index not in self._read and address in str(mail["To"]):
                    self._read.add(index)
                    return mail
            await asyncio.sleep(0.02)
        return None


def text_of(mail: EmailMessage) -> str:
    """Return the plain text of a mail, or whatever text it has."""
    body = mail.get_body(("plain", "html"))
    return body.get_content() if body is not None else ""


def match_link(pattern: str, text: str) -> dict[str, str] | None:
    """Find a pattern like ``/reset/@uid/@token`` in a text and return what its names stand for."""
    parts = re.split(r"@(\w+)", pattern)
    names = parts[1::2]
    literal = [".*?".join(re.escape(p) for p in part.split("…")) for part in parts[::2]]
    expression = literal[0]
    for name, following in zip(names, literal[1:], strict=True):
        expression += rf"(?P<{name}>[\w.~-]+)" + following
    found = re.search(expression, text, re.DOTALL)
    return found.groupdict() if found else None


@contextlib.contextmanager
def mailbox() -> Generator[Mailbox]:
    """Run a mail server for the length of a block."""
    box = Mailbox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    box.url = f"smtp://127.0.0.1:{port}"
    try:
        yield box
    finally:
        controller.stop()
