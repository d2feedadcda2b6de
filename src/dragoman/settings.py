"""Settings: one frozen class, read from the environment, a TOML file and files with secrets."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import SplitResult, parse_qs, urlsplit

import msgspec

from dragoman.rules import dsn
from dragoman.rules.rates import Rate, parse_rate

PREFIX = "DRAGOMAN_"

_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/:?#@\[\]*]+)(?::([0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)

Parser = Callable[[Any], Any]
"""Turns the text of a variable, or a value of the TOML file, into a value; raises ValueError."""


class SettingsError(Exception):
    """Lists all errors of the settings, one line each; never quotes a secret."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class ContractSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Base class of the settings that a dialect declares in its own ``settings`` module.

    A subclass has a field with a default for every setting, and the parsers of all of them.
    Their environment variables and TOML keys are made like those of ``Settings``.
    """

    PARSERS: ClassVar[Mapping[str, Parser]] = {}


C = TypeVar("C", bound=ContractSettings)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator can set (``docs/settings.md``); the field's name is the variable's.

    ``contract_settings`` holds the settings of dialects that differ from their defaults.
    """

    database: str = "sqlite:///dragoman.db"
    secret_key: bytes = b""
    admin_username: str = "admin"
    admin_email: str = "admin@localhost"
    admin_password: str = ""
    tenant: str = "main"
    contracts: tuple[str, ...] = ()  # empty: all, by name
    hosts: dict[str, str] = {}
    public_url: str = "http://127.0.0.1:8000"
    cors_origins: tuple[str, ...] = ()
    smtp_url: str = ""
    mail_from: str = "dragoman@localhost"
    anonymous_rate: Rate = Rate(60, 60)
    user_rate: Rate = Rate(6000, 60)
    self_registration: bool = True
    password_policy: str = "documented"
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    token_idle_days: int = 30
    token_max_days: int = 365
    reset_hours: int = 24
    refresh_grace: int = 10
    hash_threads: int = 0
    log_level: str = "info"
    access_log: bool = False
    contract_settings: tuple[ContractSettings, ...] = ()

    def for_contract(self, settings_class: type[C]) -> C:
        """Return the settings that a dialect has declared with this class."""
        for settings in self.contract_settings:
            if isinstance(settings, settings_class):
                return settings
        return settings_class()

    def __rich_repr__(self, /) -> list[tuple[str, Any]]:
        """Show the settings without the secrets."""
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


def load(
    environ: Mapping[str, str] = os.environ, declared: Iterable[type[ContractSettings]] = ()
) -> Settings:
    """Read the settings of this process.

    The environment overrides a secret's file, which overrides the TOML file of ``DRAGOMAN_CONFIG``.
    ``declared`` are the classes that the dialects declare. Raises SettingsError with all errors.
    """
    declared = tuple(declared)
    parsers = all_parsers(declared)
    raw, errors = _read_sources(environ, parsers)
    values: dict[str, Any] = {}
    for name, value in raw.items():
        try:
            values[name] = parsers[name](value)
        except ValueError as error:
            errors.append(f"{PREFIX}{name.upper()}: {error}")
    if errors:
        raise SettingsError(errors)
    return replace(Settings(), values, declared)


def all_parsers(declared: Iterable[type[ContractSettings]]) -> dict[str, Parser]:
    """Return the parsers of all settings by name, including those that dialects declare."""
    parsers = dict(PARSERS)
    for settings_class in declared:
        parsers |= settings_class.PARSERS
    return parsers


def replace(
    settings: Settings, values: Mapping[str, Any], declared: Iterable[type[ContractSettings]]
) -> Settings:
    """Return a copy with other values, by the settings' names; ``declared`` as for ``load``."""
    remaining = dict(values)
    contract_settings = {type(each): each for each in settings.contract_settings}
    for settings_class in declared:
        names = remaining.keys() & settings_class.PARSERS.keys()
        if names:
            changes = {name: remaining.pop(name) for name in names}
            current = settings.for_contract(settings_class)
            contract_settings[settings_class] = msgspec.structs.replace(current, **changes)
    remaining["contract_settings"] = tuple(contract_settings.values())
    return msgspec.structs.replace(settings, **remaining)


def _read_sources(
    environ: Mapping[str, str], parsers: Mapping[str, Parser]
) -> tuple[dict[str, Any], list[str]]:
    """Return the values that are set, not parsed yet, and the errors found meanwhile."""
    raw, errors = _read_toml(environ.get(f"{PREFIX}CONFIG", ""), parsers)
    for name in parsers:
        variable = f"{PREFIX}{name.upper()}"
        path = environ.get(f"{variable}_FILE", "")
        if path and name in SECRETS:
            try:
                raw[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, ValueError) as error:
                errors.append(f"{variable}_FILE: {type(error).__name__} reading {path}")
        if variable in environ:
            raw[name] = environ[variable]
    return raw, errors + _unknown_variables(environ, parsers)


def _read_toml(path: str, parsers: Mapping[str, Parser]) -> tuple[dict[str, Any], list[str]]:
    """Return the values in the TOML file, if a path is given, and the errors found meanwhile."""
    if not path:
        return {}, []
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, [f"{PREFIX}CONFIG: {path}: {error}"]
    raw: dict[str, Any] = {}
    errors: list[str] = []
    for key, value in table.items():
        name = key.lower().removeprefix(PREFIX.lower())
        if name in parsers:
            raw[name] = value
        else:
            errors.append(f"{path}: unknown setting {key!r}")
    return raw, errors


def _unknown_variables(environ: Mapping[str, str], parsers: Mapping[str, Parser]) -> list[str]:
    known_variables = {f"{PREFIX}{name.upper()}" for name in parsers} | {f"{PREFIX}CONFIG"}
    known_variables |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS}
    return [
        f"{variable}: unknown setting"
        for variable in sorted(environ)
        if variable.startswith(PREFIX) and variable not in known_variables
        if not dsn.is_service_link(variable, environ[variable], "DRAGOMAN")
    ]


def parse_text(value: Any) -> str:
    """Return a string without surrounding white space. Raises ValueError for other types."""
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - parsers raise ValueError only
    return value.strip()


def _nonempty_text(value: Any) -> str:
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

    def parse(value: Any) -> str:
        choice = parse_text(value).lower()
        if choice not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return choice

    return parse


def _database(value: Any) -> str:
    text = _nonempty_text(value)
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


def _secret_key(value: Any) -> bytes:
    text = parse_text(value)
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
            raise ValueError("must read like users.example.com=CONTRACT,api.example.com=CONTRACT")
    return {dsn.canonical_host(str(host)): name for host, name in contracts_by_host.items()}


def _url(pattern: re.Pattern[str], message: str) -> Parser:
    def parse(value: Any) -> str:
        text = parse_text(value).rstrip("/")
        if not pattern.fullmatch(text):
            raise ValueError(message)
        _split_url(text, message)
        return text

    return parse


def _origins(value: Any) -> tuple[str, ...]:
    """Return origins as browsers send them: in lower case, without the scheme's own port."""
    return tuple(dict.fromkeys(_origin(text) for text in _text_list(value)))


def _origin(text: str) -> str:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text}: must be an origin like https://app.example.com, without a path")
    scheme, host, port = match[1].lower(), dsn.canonical_host(match[2]), match[3]
    is_default = (scheme, port) in {("http", "80"), ("https", "443")}
    return f"{scheme}://{host}" + (f":{port}" if port and not is_default else "")


def _networks(
    value: Any,
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(item, strict=False) for item in _text_list(value))
    except ValueError:
        raise ValueError("must be addresses or networks like 10.0.0.0/8") from None


PARSERS: dict[str, Parser] = {
    "database": _database,
    "secret_key": _secret_key,
    "admin_username": _nonempty_text,
    "admin_email": _nonempty_text,
    "admin_password": lambda value: value if isinstance(value, str) else parse_text(value),
    "tenant": _nonempty_text,
    "contracts": _contracts,
    "hosts": _hosts,
    "public_url": _url(
        re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?"),
        "must be an http or https URL without a query",
    ),
    "cors_origins": _origins,
    "smtp_url": _url(
        re.compile(r"(?:smtps?://(?:[^\s@/?#]+@)?[^\s@/:?#]+(?::\d{1,5})?)?"),
        "must read like smtp://user:pass@host:25; in a password, / is %2F, @ is %40, and so on",
    ),
    "mail_from": _nonempty_text,
    "anonymous_rate": lambda value: parse_rate(parse_text(value)),
    "user_rate": lambda value: parse_rate(parse_text(value)),
    "self_registration": parse_boolean,
    "password_policy": one_of("documented", "standard", "hardened"),
    "trusted_proxies": _networks,
    "token_idle_days": integer_between(1, 3650),
    "token_max_days": integer_between(1, 3650),
    "reset_hours": integer_between(1, 168),
    "refresh_grace": integer_between(0, 300),
    "hash_threads": integer_between(0, 64),
    "log_level": one_of("debug", "info", "warning", "error"),
    "access_log": parse_boolean,
}
