"""Mails in words: the facts of a letter, and the message that is made of them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dragoman.rules import fields
from dragoman.rules.unicode_safety import has_invisible_characters

if TYPE_CHECKING:
    from email.message import EmailMessage

MAX_LINE_LENGTH = 998
"""The longest line that SMTP carries (RFC 5321, 4.5.3.1.6), without its end."""


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is told. ``template`` names a pair of files beside this one.

    ``facts`` never holds what a person has chosen, like a name, unless ``harmless`` let it
    through: whoever asks for a mail to somebody else could put words, or a link of their own,
    into it.
    """

    template: str
    recipient: str
    subject: str
    context: dict[str, Any]


_NAME_CATEGORIES = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"})
_NAME_PUNCTUATION = frozenset(" .,-–'’&+()")
_LINKIFIED_DOT = re.compile(r"\.(?![ ,)]|$)")
MAX_NAME_LENGTH = 80
"""The longest name, in characters, that a letter repeats."""


def safe_name(name: str) -> str:
    """Return a name that a letter may repeat, or nothing: it holds no link, header or markup.

    It is made of letters, marks, digits, spaces and a few signs, at most 80 in all; no dot joins
    what follows, since mail programs make links of whatever looks like a host. Its compatibility
    form (NFKC) has to pass as well, because other characters stand for a dot or a slash.
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
        ):
            return ""
    return name


def render_text(email: Email) -> str:
    """Return the letter as plain text."""
    return _render(f"{email.template}.txt", email.context)


def compose(email: Email, *, sender: str, message_id: str, sent_at: int) -> EmailMessage:
    """Return the letter as a message: text and HTML, one link in each.

    Args:
        letter: what is told.
        sender: the From header, ``dragoman@example.com`` or ``Dragoman <dragoman@…>``.
        message_id: what stands before the @ of the Message-ID; the same for every attempt, so
            that a mail that comes twice can be known as one.
        at: the moment of sending, microseconds since 1970.

    Raises ValueError for what is no address: none breaks out of its header.
    """
    from datetime import UTC, datetime
    from email.headerregistry import Address
    from email.message import EmailMessage
    from email.policy import SMTP

    message = EmailMessage(policy=SMTP)
    message["From"] = sender  # it may have a name beside the address
    from_address = message["From"].addresses[0]
    local, domain = idna_address(from_address.addr_spec)
    message.replace_header("From", Address(from_address.display_name, local, domain))
    message["To"] = Address("", *idna_address(email.recipient))
    message["Subject"] = email.subject
    message["Date"] = datetime.fromtimestamp(sent_at // 1_000_000, UTC)
    message["Message-ID"] = f"<{message_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes in return
    text_body, html_body = render_text(email), _render(f"{email.template}.html", email.context)
    message.set_content(text_body, **_transfer_encoding(text_body))
    message.add_alternative(html_body, subtype="html", **_transfer_encoding(html_body))
    return message


def idna_address(address: str) -> tuple[str, str]:
    """Return an address as it travels: the local part as it is, the domain in ASCII (RFC 5890).

    Raises ValueError for what is no address by our own rules.
    """
    if not address or fields.email_problems(address):
        raise ValueError("no e-mail address")
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        from email_validator import validate_email

        validated = validate_email(address, check_deliverability=False, globally_deliverable=False)
        domain = validated.ascii_domain
    return local, domain


def _transfer_encoding(body: str) -> dict[str, Any]:
    """Leave plain lines as they are: a link that is broken into lines is easily lost."""
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
