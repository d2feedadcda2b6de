"""Every knob, in one frozen class: from the environment, a TOML file, or files that hold secrets."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import msgspec

from dragoman.rules import dsn
from dragoman.rules.rates import Rate, parse_rate

PREFIX = "DRAGOMAN_"


class SettingsError(Exception):
    """Everything that is wrong with the settings, one line each; never a secret's value."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator can set (``docs/settings.md``); the field's name is the variable's."""

    database: str = "sqlite:///dragoman.db"
    secret_key: bytes = b""
    admin_username: str = "admin"
    admin_email: str = "admin@localhost"
    admin_password: str = ""
    tenant: str = "main"
    contracts: tuple[str, ...] = ()  # all that there are, by name
    hosts: dict[str, str] = {}
    public_url: str = "http://127.0.0.1:8000"
    smtp_url: str = ""
    mail_from: str = "dragoman@localhost"
    anonymous_rate: Rate = Rate(60, 60)
    user_rate: Rate = Rate(6000, 60)
    self_registration: bool = True
    first_user_is_admin: bool = True
    wekan_errors_as_200: bool = False
    password_policy: str = "documented"
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    token_idle_days: int = 30
    token_max_days: int = 365
    reset_hours: int = 24
    hash_threads: int = 0
    log_level: str = "info"
    access_log: bool = False

    def __rich_repr__(self, /) -> list[tuple[str, Any]]:
        """Show the settings without anything that is secret."""
        return [
            (name, getattr(self, name)) for name in self.__struct_fields__ if name not in SECRETS
        ]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Settings({shown})"

    @property
    def sqlite_path(self) -> Path | None:
        """The file of the SQLite database, or ``None`` on PostgreSQL."""
        if not self.database.startswith("sqlite:///"):
            return None
        return Path(self.database.removeprefix("sqlite:///"))


SECRETS = ("secret_key", "admin_password", "smtp_url", "database")


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of this process.

    The environment wins over a secret's file, that over the TOML file of ``DRAGOMAN_CONFIG``.
    Raises SettingsError with every fault at once.
    """
    errors: list[str] = []
    raw = _read_sources(environ, errors)
    values: dict[str, Any] = {}
    for name, value in raw.items():
        try:
            values[name] = PARSERS[name](value)
        except ValueError as error:
            errors.append(f"{PREFIX}{name.upper()}: {error}")
    if errors:
        raise SettingsError(errors)
    return Settings(**values)


def _read_sources(environ: Mapping[str, str], errors: list[str]) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    config = environ.get(f"{PREFIX}CONFIG", "")
    if config:
        try:
            table = tomllib.loads(Path(config).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            errors.append(f"{PREFIX}CONFIG: {config}: {error}")
            table = {}
        for key, value in table.items():
            name = key.lower().removeprefix(PREFIX.lower())
            if name in PARSERS:
                raw[name] = value
            else:
                errors.append(f"{config}: there is no setting {key!r}")
    for name in PARSERS:
        variable = f"{PREFIX}{name.upper()}"
        path = environ.get(f"{variable}_FILE", "")
        if path and name in SECRETS:
            try:
                raw[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, ValueError) as error:
                errors.append(f"{variable}_FILE: {type(error).__name__} reading {path}")
        if variable in environ:
            raw[name] = environ[variable]
    known_variables = {f"{PREFIX}{name.upper()}" for name in PARSERS} | {f"{PREFIX}CONFIG"}
    known_variables |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS}
    errors.extend(
        f"{variable}: there is no such setting"
        for variable in sorted(environ)
        if variable.startswith(PREFIX) and variable not in known_variables
        if not dsn.is_service_link(variable, environ[variable], "DRAGOMAN")
    )
    return raw


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value.strip()


def _nonempty_text(value: Any) -> str:
    text = _text(value)
    if not text:
        raise ValueError("must not be empty")
    return text


def _text_list(value: Any) -> list[str]:
    parts: list[Any] = value if isinstance(value, list) else _text(value).split(",")
    return [text for part in parts if (text := _text(part))]


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = _text(value).lower()
    if word in {"on", "true", "yes", "1"}:
        return True
    if word in {"off", "false", "no", "0"}:
        return False
    raise ValueError("must be on or off")


def _integer(minimum: int, maximum: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        try:
            number = int("" if isinstance(value, bool | float) else value)
        except (TypeError, ValueError):
            raise ValueError("must be a whole number") from None
        if not minimum <= number <= maximum:
            raise ValueError(f"must be between {minimum} and {maximum}")
        return number

    return parse


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        choice = _text(value).lower()
        if choice not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return choice

    return parse


def _database(value: Any) -> str:
    text = _nonempty_text(value)
    if text.startswith("sqlite:///") and len(text) > len("sqlite:///"):
        return text
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    dsn.check_dsn(text)
    for host_dsn in dsn.split_hosts(text):
        query = _split_url(host_dsn, "must be an address that a PostgreSQL driver can read").query
        if any("," in host for host in parse_qs(query).get("host", [])):
            raise ValueError("several hosts stand before the name: postgresql://one,two/name")
    return text


def _split_url(text: str, message: str) -> SplitResult:
    """Read an address as those do that use it, but say what is wrong without quoting it."""
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.query and parse_qs(parts.query, strict_parsing=True)
    except ValueError:
        raise ValueError(message) from None
    return parts


def _secret_key(value: Any) -> bytes:
    text = _text(value)
    if not text:
        return b""
    key = b""
    with contextlib.suppress(ValueError):
        key = bytes.fromhex(text) if re.fullmatch(r"[0-9a-fA-F]+", text) else _decode_base64(text)
    if len(key) < 32:
        raise ValueError("must be at least 32 random bytes, as hex or base64")
    return key


def _decode_base64(text: str) -> bytes:
    padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    return base64.b64decode(padded, validate=True)


def _contracts(value: Any) -> tuple[str, ...]:
    names = _text_list(value)
    if not names:
        raise ValueError("must name at least one contract")
    return tuple(dict.fromkeys(names))


def _hosts(value: Any) -> dict[str, str]:
    contracts_by_host: dict[Any, Any]
    if isinstance(value, dict):
        contracts_by_host = value
    else:
        pairs = [item.partition("=") for item in _text_list(value)]
        contracts_by_host = {host.strip(): name.strip() for host, _, name in pairs}
    for host, name in contracts_by_host.items():
        if not isinstance(name, str) or not host or not name:
            raise ValueError("must read like wekan.example.com=wekan,users.example.com=wiwebb")
    return {dsn.canonical_host(str(host)): name for host, name in contracts_by_host.items()}


def _url(pattern: re.Pattern[str], message: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        text = _text(value).rstrip("/")
        if not pattern.fullmatch(text):
            raise ValueError(message)
        _split_url(text, message)
        return text

    return parse


def _networks(
    value: Any,
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(item, strict=False) for item in _text_list(value))
    except ValueError:
        raise ValueError("must be addresses or networks like 10.0.0.0/8") from None


PARSERS: dict[str, Callable[[Any], Any]] = {
    "database": _database,
    "secret_key": _secret_key,
    "admin_username": _nonempty_text,
    "admin_email": _nonempty_text,
    "admin_password": lambda value: value if isinstance(value, str) else _text(value),
    "tenant": _nonempty_text,
    "contracts": _contracts,
    "hosts": _hosts,
    "public_url": _url(
        re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?"),
        "must be an http or https address without query",
    ),
    "smtp_url": _url(
        re.compile(r"(?:smtps?://(?:[^\s@/?#]+@)?[^\s@/:?#]+(?::\d{1,5})?)?"),
        "must read like smtp://user:pass@host:25; in a password, / is %2F, @ is %40, and so on",
    ),
    "mail_from": _nonempty_text,
    "anonymous_rate": lambda value: parse_rate(_text(value)),
    "user_rate": lambda value: parse_rate(_text(value)),
    "self_registration": _boolean,
    "first_user_is_admin": _boolean,
    "wekan_errors_as_200": _boolean,
    "password_policy": _one_of("documented", "standard", "hardened"),
    "trusted_proxies": _networks,
    "token_idle_days": _integer(1, 3650),
    "token_max_days": _integer(1, 3650),
    "reset_hours": _integer(1, 168),
    "hash_threads": _integer(0, 64),
    "log_level": _one_of("debug", "info", "warning", "error"),
    "access_log": _boolean,
}
