"""Values of settings, parsed from the text of a variable or a value of the TOML file.

Every parser raises ValueError with a message for the operator; it never quotes a secret.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from dragoman.rules import dsn

Parser = Callable[[Any], Any]
"""Turns the text of a variable, or a value of the TOML file, into a value; raises ValueError."""

ALL_ZERO = "all its bytes are zero: make a key with 'openssl rand -hex 32'"
_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/:?#@\[\]*]+)(?::([0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)


def parse_text(value: Any) -> str:
    """Return a string without surrounding white space. Raises ValueError for other types."""
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - parsers raise ValueError only
    return value.strip()


def parse_nonempty_text(value: Any) -> str:
    """Return a string with more than white space in it. Raises ValueError."""
    text = parse_text(value)
    if not text:
        raise ValueError("must not be empty")
    return text


def _text_list(value: Any) -> list[str]:
    parts: list[Any] = value if isinstance(value, list) else parse_text(value).split(",")
    return [text for part in parts if (text := parse_text(part))]


def parse_boolean(value: Any) -> bool:
    """Return what ``on``, ``true``, ``yes``, ``1`` or their opposites mean. Raises ValueError."""
    if isinstance(value, bool):
        return value
    word = parse_text(value).lower()
    if word in {"on", "true", "yes", "1"}:
        return True
    if word in {"off", "false", "no", "0"}:
        return False
    raise ValueError("must be on or off")


def integer_between(minimum: int, maximum: int) -> Parser:
    """Return a parser of integers in a range that includes both limits."""

    def parse(value: Any) -> int:
        try:
            number = int("" if isinstance(value, bool | float) else value)
        except (TypeError, ValueError):
            raise ValueError("must be an integer") from None
        if not minimum <= number <= maximum:
            raise ValueError(f"must be between {minimum} and {maximum}")
        return number

    return parse


def one_of(*choices: str) -> Parser:
    """Return a parser of words, which ignores their case."""
    by_lower_case = {choice.lower(): choice for choice in choices}

    def parse(value: Any) -> str:
        choice = by_lower_case.get(parse_text(value).lower())
        if choice is None:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return choice

    return parse


def parse_database(value: Any) -> str:
    """Return the URL of an SQLite file or of a PostgreSQL database. Raises ValueError."""
    text = parse_nonempty_text(value)
    if text.startswith("sqlite:///") and len(text) > len("sqlite:///"):
        return text
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("must start with sqlite:/// or postgresql://")
    dsn.check_dsn(text)
    for host_dsn in dsn.split_hosts(text):
        query = _split_url(host_dsn, "must be a URL that a PostgreSQL driver can parse").query
        if any("," in host for host in parse_qs(query).get("host", [])):
            raise ValueError("several hosts must precede the name: postgresql://one,two/name")
    return text


def _split_url(text: str, message: str) -> SplitResult:
    """Split a URL like the libraries that use it, but raise ``message``, which does not quote it."""
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.query and parse_qs(parts.query, strict_parsing=True)
    except ValueError:
        raise ValueError(message) from None
    return parts


def parse_secret_key(value: Any) -> bytes:
    """Return a key of at least 32 bytes; empty if there is none. Raises ValueError."""
    text = parse_text(value)
    if not text:
        return b""
    key = b""
    with contextlib.suppress(ValueError):
        key = bytes.fromhex(text) if re.fullmatch(r"[0-9a-fA-F]+", text) else _decode_base64(text)
    if len(key) < 32:
        raise ValueError("must be at least 32 random bytes, as hex or base64")
    if not any(key):
        raise ValueError(ALL_ZERO)
    return key


def _decode_base64(text: str) -> bytes:
    padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    return base64.b64decode(padded, validate=True)


def parse_contracts(value: Any) -> tuple[str, ...]:
    """Return names of contracts, each once. Raises ValueError."""
    names = _text_list(value)
    if not names:
        raise ValueError("must name at least one contract")
    return tuple(dict.fromkeys(names))


def parse_hosts(value: Any) -> dict[str, str]:
    """Return contracts by the host that serves them. Raises ValueError."""
    contracts_by_host: dict[Any, Any]
    if isinstance(value, dict):
        contracts_by_host = value
    else:
        pairs = [item.partition("=") for item in _text_list(value)]
        contracts_by_host = {host.strip(): name.strip() for host, _, name in pairs}
    for host, name in contracts_by_host.items():
        if not isinstance(name, str) or not host or not name:
            raise ValueError("must read like users.example.com=CONTRACT,api.example.com=CONTRACT")
    return {dsn.canonical_host(str(host)): name for host, name in contracts_by_host.items()}


def url_matching(pattern: re.Pattern[str], message: str) -> Parser:
    """Return a parser of URLs that match a pattern; others are ValueErrors with this message."""

    def parse(value: Any) -> str:
        text = parse_text(value).rstrip("/")
        if not pattern.fullmatch(text):
            raise ValueError(message)
        _split_url(text, message)
        return text

    return parse


def parse_origins(value: Any) -> tuple[str, ...]:
    """Return origins as browsers send them: in lower case, without the scheme's own port."""
    return tuple(dict.fromkeys(_origin(text) for text in _text_list(value)))


def _origin(text: str) -> str:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text}: must be an origin like https://app.example.com, without a path")
    scheme, host, port = match[1].lower(), dsn.canonical_host(match[2]), match[3]
    is_default = (scheme, port) in {("http", "80"), ("https", "443")}
    return f"{scheme}://{host}" + (f":{port}" if port and not is_default else "")


def parse_networks(
    value: Any,
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Return addresses and networks. Raises ValueError."""
    try:
        return tuple(ipaddress.ip_network(item, strict=False) for item in _text_list(value))
    except ValueError:
        raise ValueError("must be addresses or networks like 10.0.0.0/8") from None
