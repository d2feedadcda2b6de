"""Mails in words: the facts of a letter, and the message that is made of them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dragoman.rules import fields
from dragoman.rules.unicode_safety import hides

if TYPE_CHECKING:
    from email.message import EmailMessage

LINE = 998
"""The longest line that SMTP carries (RFC 5321, 4.5.3.1.6), without its end."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is told. ``template`` names a pair of files beside this one.

    ``facts`` never holds what a person has chosen, like a name, unless ``harmless`` let it
    through: whoever asks for a mail to somebody else could put words, or a link of their own,
    into it.
    """

    template: str
    recipient: str
    subject: str
    facts: dict[str, Any]


_KINDS_OF_LETTERS = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"})
_SIGNS = frozenset(" .,-–'’&+()")
_JOINING_DOT = re.compile(r"\.(?![ ,)]|$)")
NAME = 80
"""The longest name, in characters, that a letter repeats."""


def harmless(name: str) -> str:
    """Return a name that a letter may repeat, or nothing: it holds no link, header or markup.

    It is made of letters, marks, digits, spaces and a few signs, at most 80 in all; no dot joins
    what follows, since mail programs make links of whatever looks like a host. Its compatibility
    form (NFKC) has to pass as well, because other characters stand for a dot or a slash.
    """
    for form in (name, unicodedata.normalize("NFKC", name)):
        plain = all(c in _SIGNS or unicodedata.category(c) in _KINDS_OF_LETTERS for c in form)
        if not plain or len(form) > NAME or hides(form) or _JOINING_DOT.search(form):
            return ""
    return name


def text(letter: Letter) -> str:
    """Return the letter as plain text."""
    return _render(f"{letter.template}.txt", letter.facts)


def compose(letter: Letter, *, sender: str, message_id: str, at: int) -> EmailMessage:
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
    known = message["From"].addresses[0]
    local, domain = wire(known.addr_spec)
    message.replace_header("From", Address(known.display_name, local, domain))
    message["To"] = Address("", *wire(letter.recipient))
    message["Subject"] = letter.subject
    message["Date"] = datetime.fromtimestamp(at // 1_000_000, UTC)
    message["Message-ID"] = f"<{message_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes in return
    plain, rich = text(letter), _render(f"{letter.template}.html", letter.facts)
    message.set_content(plain, **_encoding(plain))
    message.add_alternative(rich, subtype="html", **_encoding(rich))
    return message


def wire(address: str) -> tuple[str, str]:
    """Return an address as it travels: the local part as it is, the domain in ASCII (RFC 5890).

    Raises ValueError for what is no address by our own rules.
    """
    if not address or fields.email_problems(address):
        raise ValueError("no e-mail address")
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        from email_validator import validate_email

        found = validate_email(address, check_deliverability=False, globally_deliverable=False)
        domain = found.ascii_domain
    return local, domain


def _encoding(body: str) -> dict[str, Any]:
    """Leave plain lines as they are: a link that is broken into lines is easily lost."""
    plain = body.isascii() and all(len(line) <= LINE for line in body.splitlines())
    return {"cte": "7bit"} if plain else {}


@lru_cache(maxsize=1)
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )


def _render(name: str, facts: dict[str, Any]) -> str:
    return _templates().get_template(name).render(facts)
