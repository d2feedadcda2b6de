"""Settings: one frozen class, read from the environment, a TOML file and files with secrets."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import msgspec

from dragoman.rules import dsn
from dragoman.rules.rates import Rate, parse_rate
from dragoman.setting_values import (
    Parser,
    integer_between,
    one_of,
    parse_boolean,
    parse_contracts,
    parse_database,
    parse_hosts,
    parse_networks,
    parse_nonempty_text,
    parse_origins,
    parse_secret_key,
    parse_text,
    url_matching,
)

PREFIX = "DRAGOMAN_"
ENVIRONMENT = "environment"
"""The source of a setting that an environment variable sets."""


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
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    contracts: tuple[str, ...] = ()  # empty: all, by name
    hosts: dict[str, str] = {}
    public_url: str = ""  # unset: the address of the last `serve`, see `with_public_url`
    cors_origins: tuple[str, ...] = ()
    smtp_url: str = ""
    mail_from: str = "dragoman@localhost"
    redis: str = ""  # empty: each worker counts for itself
    backup_days: int = 3  # 0: backups are made in another way
    anonymous_rate: Rate = Rate(60, 60)
    user_rate: Rate = Rate(6000, 60)
    invitation_rate: Rate = Rate(100, 3600)
    console: bool = True
    self_registration: bool = True
    sign_up_reach: str = "open"
    verify_email: str = "on"  # or off, required
    password_policy: str = "documented"
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    forwarded: str = "x-forwarded-for"
    connections_per_address: int = 256
    keep_alive: int = 75
    token_idle_days: int = 30
    token_max_days: int = 365
    reset_hours: int = 24
    audit_days: int = 365
    invitation_days: int = 30
    imported_hashes_days: int = 0
    erasures: str = ""  # unset: dragoman.erasures beside the key file
    refresh_grace: int = 10
    jwt_algorithm: str = "EdDSA"
    hash_threads: int = 0
    log_level: str = "info"
    log_format: str = "json"  # or text
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

    @property
    def files_folder(self) -> Path:
        """The folder of the files that the program makes: that of SQLite, else the current one."""
        path = self.sqlite_path
        return path.parent if path is not None else Path()

    @property
    def erasures_path(self) -> Path:
        """The file of the ledger of erasures."""
        return Path(self.erasures) if self.erasures else self.files_folder / "dragoman.erasures"


def with_public_url(settings: Settings, last_served: str = "") -> Settings:
    """Return the settings with a public URL; ``last_served`` is that of the last server, or ""."""
    if settings.public_url:
        return settings
    default = f"http://127.0.0.1:{settings.port}"
    return msgspec.structs.replace(settings, public_url=last_served or default)


SECRETS = ("secret_key", "admin_password", "smtp_url", "database", "redis")


def secret_files(environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Return the files that secrets are read from, by the variables that name them."""
    variables = [f"{PREFIX}{name.upper()}_FILE" for name in SECRETS]
    return {variable: Path(environ[variable]) for variable in variables if environ.get(variable)}


def load(
    environ: Mapping[str, str] = os.environ, declared: Iterable[type[ContractSettings]] = ()
) -> Settings:
    """Read the settings of this process.

    The environment overrides a secret's file, which overrides the TOML file of ``DRAGOMAN_CONFIG``.
    ``declared`` are the classes that the dialects declare. Raises SettingsError with all errors.
    """
    declared = tuple(declared)
    parsers = all_parsers(declared)
    raw, _, errors = _read_sources(environ, parsers)
    values: dict[str, Any] = {}
    for name, value in raw.items():
        try:
            values[name] = parsers[name](value)
        except ValueError as error:
            errors.append(f"{PREFIX}{name.upper()}: {error}")
    if "public_url" in values:
        errors += _public_url_errors(values["public_url"], values.get("hosts", {}))
    if errors:
        raise SettingsError(errors)
    return replace(Settings(), values, declared)


def sources(
    environ: Mapping[str, str] = os.environ, declared: Iterable[type[ContractSettings]] = ()
) -> dict[str, str]:
    """Return where the settings that are set come from, by their names.

    That is ``environment``, the variable that names a secret's file, or the path of the TOML file.
    """
    return _read_sources(environ, all_parsers(declared))[1]


def log_format_of(environ: Mapping[str, str] = os.environ) -> str:
    """Return the format of logs, also if other settings are wrong; ``json`` if it is wrong itself."""
    raw, _, _ = _read_sources(environ, PARSERS)
    try:
        return str(PARSERS["log_format"](raw["log_format"]))
    except (KeyError, ValueError):
        return Settings().log_format


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
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Return the values that are set, not parsed yet, their sources, and the errors found."""
    config = environ.get(f"{PREFIX}CONFIG", "")
    raw, errors = _read_toml(config, parsers)
    found = dict.fromkeys(raw, config)
    for name in parsers:
        variable = f"{PREFIX}{name.upper()}"
        path = environ.get(f"{variable}_FILE", "")
        if path and name in SECRETS:
            try:
                raw[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
                found[name] = f"{variable}_FILE"
            except (OSError, ValueError) as error:
                errors.append(f"{variable}_FILE: {type(error).__name__} reading {path}")
        if variable in environ and not _is_service_link(variable, environ):
            raw[name], found[name] = environ[variable], ENVIRONMENT
    return raw, found, errors + _unknown_variables(environ, parsers)


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
            errors.append(f"{path}: unknown setting {key!r}{_guess(name, parsers)}")
    return raw, errors


def _unknown_variables(environ: Mapping[str, str], parsers: Mapping[str, Parser]) -> list[str]:
    known_variables = {f"{PREFIX}{name.upper()}" for name in parsers} | {f"{PREFIX}CONFIG"}
    known_variables |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS}
    return [
        f"{variable}: unknown setting{_guess(variable, known_variables)}"
        for variable in sorted(environ)
        if variable.startswith(PREFIX) and variable not in known_variables
        if not _is_service_link(variable, environ)
    ]


def _guess(name: str, known: Iterable[str]) -> str:
    """Return a question that names what was probably meant, or an empty string."""
    # The common prefix would make every variable look like every other one.
    without_prefix = {each.removeprefix(PREFIX): each for each in known}
    candidates = sorted(without_prefix)
    nearest = difflib.get_close_matches(name.removeprefix(PREFIX), candidates, n=1, cutoff=0.7)
    return f" (did you mean {without_prefix[nearest[0]]}?)" if nearest else ""


def _is_service_link(variable: str, environ: Mapping[str, str]) -> bool:
    return dsn.is_service_link(variable, environ[variable], "DRAGOMAN")


def _public_url_errors(public_url: str, hosts: Mapping[str, str]) -> list[str]:
    """Return an error if the host of the public URL serves a single contract: links would fail."""
    netloc = urlsplit(public_url).netloc.lower()
    host = netloc.partition("]")[0] + "]" if netloc.startswith("[") else netloc.partition(":")[0]
    contract = hosts.get(host.removesuffix("."))
    if contract is None:
        return []
    message = f"{host} serves only {contract} (DRAGOMAN_HOSTS), so links in mails would not work"
    return [f"{PREFIX}PUBLIC_URL: {message}"]


PARSERS: dict[str, Parser] = {
    "database": parse_database,
    "secret_key": parse_secret_key,
    "admin_username": parse_nonempty_text,
    "admin_email": parse_nonempty_text,
    "admin_password": lambda value: value if isinstance(value, str) else parse_text(value),
    "tenant": parse_nonempty_text,
    "host": parse_nonempty_text,
    "port": integer_between(1, 65_535),
    "workers": integer_between(1, 256),
    "contracts": parse_contracts,
    "hosts": parse_hosts,
    "public_url": url_matching(
        re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?"),
        "must be an http or https URL without a query",
    ),
    "cors_origins": parse_origins,
    "smtp_url": url_matching(
        re.compile(r"(?:smtps?://(?:[^\s@/?#]+@)?[^\s@/:?#]+(?::\d{1,5})?)?"),
        "must read like smtp://user:pass@host:25; in a password, / is %2F, @ is %40, and so on",
    ),
    "mail_from": parse_nonempty_text,
    "redis": url_matching(
        re.compile(
            r"(?:(?:rediss?|valkeys?)://(?:[^\s@/?#]*@)?(?:\[[0-9a-fA-F:.]+\]|[^\s@/:?#\[\]]+)"
            r"(?::\d{1,5})?(?:/\d{1,5})?)?"
        ),
        "must read like redis://:pass@host:6379/0; in a password, / is %2F, @ is %40, and so on",
    ),
    "backup_days": integer_between(0, 3650),
    "anonymous_rate": lambda value: parse_rate(parse_text(value)),
    "user_rate": lambda value: parse_rate(parse_text(value)),
    "invitation_rate": lambda value: parse_rate(parse_text(value)),
    "console": parse_boolean,
    "self_registration": parse_boolean,
    "sign_up_reach": one_of("open", "everywhere"),
    "verify_email": one_of("on", "off", "required"),
    "password_policy": one_of("documented", "standard", "hardened"),
    "trusted_proxies": parse_networks,
    "forwarded": one_of("x-forwarded-for", "forwarded"),
    "connections_per_address": integer_between(0, 100_000),
    "keep_alive": integer_between(1, 3600),
    "token_idle_days": integer_between(1, 3650),
    "token_max_days": integer_between(1, 3650),
    "reset_hours": integer_between(1, 168),
    "audit_days": integer_between(0, 36_500),
    "invitation_days": integer_between(0, 36_500),
    "imported_hashes_days": integer_between(0, 36_500),
    "erasures": parse_text,
    "refresh_grace": integer_between(0, 300),
    "jwt_algorithm": one_of("EdDSA", "ES256", "RS256"),
    "hash_threads": integer_between(0, 64),
    "log_level": one_of("debug", "info", "warning", "error"),
    "log_format": one_of("json", "text"),
    "access_log": parse_boolean,
}
