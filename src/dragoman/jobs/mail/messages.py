"""Mail messages: the content of an e-mail, and the MIME message rendered from it."""

from __future__ import annotations

import re
import unicodedata
from email.message import EmailMessage
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from dragoman.rules import fields
from dragoman.rules.unicode_safety import has_invisible_characters

MAX_LINE_LENGTH = 998
"""Maximum length of a line without its line break (RFC 5321, 4.5.3.1.6)."""


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """The content of an e-mail.

    Attributes:
        template: the name of a ``.txt`` and a ``.html`` file in this folder.
        recipient: the e-mail address.
        subject: the subject.
        context: the template's variables. A text that a user chose must pass ``safe_name`` first,
            else users could send texts or links of their own to others.
    """

    template: str
    recipient: str
    subject: str
    context: dict[str, Any]


_NAME_CATEGORIES = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"})
_NAME_PUNCTUATION = frozenset(" .,-–'’&+()")
_LINKIFIED_DOT = re.compile(r"\.(?![ ,)]|$)")
_TELEPHONE_NUMBER = re.compile(r"(?:\d[ .,\-–()]*){6}")
MAX_NAME_LENGTH = 80
"""Maximum length of a user-chosen name in a mail, in characters."""


def safe_name(name: str) -> str:
    """Return a user-chosen name if it is safe to show in a mail, else an empty string.

    Safe are letters, marks, digits, spaces and some punctuation, at most ``MAX_NAME_LENGTH`` in
    all. A dot must end a word, and there must not be six digits in a row, because mail programs
    turn anything like a host name or a telephone number into a link.
    The compatibility form (NFKC) must be safe too: some characters decompose to a dot or a slash.
    """
    for variant in (name, unicodedata.normalize("NFKC", name)):
        is_allowed = all(
            c in _NAME_PUNCTUATION or unicodedata.category(c) in _NAME_CATEGORIES for c in variant
        )
        if (
            not is_allowed
            or len(variant) > MAX_NAME_LENGTH
            or has_invisible_characters(variant)
            or _LINKIFIED_DOT.search(variant)
            or _TELEPHONE_NUMBER.search(variant)
        ):
            return ""
    return name


def render_text(email: Email) -> str:
    """Return the text body."""
    return _render(f"{email.template}.txt", email.context)


def compose(email: Email, *, sender: str, message_id: str, sent_at: int) -> EmailMessage:
    """Return the e-mail as a MIME message with a text and an HTML body.

    Args:
        email: the content.
        sender: the From header, ``dragoman@example.com`` or ``Dragoman <dragoman@…>``.
        message_id: the local part of the Message-ID; the same for every attempt, so that mail
            programs recognise a duplicate.
        sent_at: the time of sending, in microseconds since 1970.

    Raises:
        ValueError: an address is not valid, so it might inject headers.
    """
    from datetime import UTC, datetime
    from email.headerregistry import Address
    from email.policy import SMTP

    message = EmailMessage(policy=SMTP)
    message["From"] = sender  # may include a display name
    from_address = message["From"].addresses[0]
    local, domain = idna_address(from_address.addr_spec)
    message.replace_header("From", Address(from_address.display_name, local, domain))
    message["To"] = Address("", *idna_address(email.recipient))
    message["Subject"] = email.subject
    message["Date"] = datetime.fromtimestamp(sent_at // 1_000_000, UTC)
    message["Message-ID"] = f"<{message_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: suppresses automatic replies
    text_body, html_body = render_text(email), _render(f"{email.template}.html", email.context)
    message.set_content(text_body, **_transfer_encoding(text_body))
    message.add_alternative(html_body, subtype="html", **_transfer_encoding(html_body))
    return message


def idna_address(address: str) -> tuple[str, str]:
    """Return an address's local part, and its domain in ASCII (IDNA, RFC 5890).

    Raises ValueError if it is not a valid e-mail address.
    """
    if not address or fields.email_problems(address):
        raise ValueError("not a valid e-mail address")
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        from email_validator import validate_email

        validated = validate_email(address, check_deliverability=False, globally_deliverable=False)
        domain = validated.ascii_domain
    return local, domain


def _transfer_encoding(body: str) -> dict[str, Any]:
    """Choose 7bit for plain ASCII: quoted-printable would break a link into lines."""
    is_7bit = body.isascii() and all(len(line) <= MAX_LINE_LENGTH for line in body.splitlines())
    return {"cte": "7bit"} if is_7bit else {}


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )


def _render(name: str, context: dict[str, Any]) -> str:
    return _environment().get_template(name).render(context)
