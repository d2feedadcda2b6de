"""Checks of the settings and of the files that they name."""

from __future__ import annotations

import ipaddress
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dragoman.jobs.doctor.finding import FAIL, OK, WARN, Finding
from dragoman.settings import Settings, with_public_url

_POSTGRESQL_DSN = re.compile(
    r"(?:(?P<user>[\w.%+-]+)(?::[^@]*)?@)?"
    r"(?P<where>[\w.-]*(?::\d+)?(?:,[\w.-]+(?::\d+)?)*(?:/[\w.%-]*)?)(?:\?[^@]*)?"
)


def describe_database(dsn: str) -> str:
    """Return the location of a database as text, without its password."""
    if dsn.startswith("sqlite:///"):
        return f"SQLite, {dsn.removeprefix('sqlite:///')}"
    match = _POSTGRESQL_DSN.fullmatch(dsn.partition("://")[2])
    if match is None:
        return "PostgreSQL"  # cannot tell where the password ends
    user = f"{match['user']}@" if match["user"] else ""
    return f"PostgreSQL, {user}{match['where']}"


def check_settings(settings: Settings, key_file: Path) -> list[Finding]:
    """Check the settings; ``key_file`` is the file of the server key if no setting contains it."""
    return [
        _check_secret_key(settings, key_file),
        _check_public_url(settings),
        _check_anonymous_rate(settings),
        _check_mail(settings),
        _check_trusted_proxies(settings),
    ]


def _check_secret_key(settings: Settings, path: Path) -> Finding:
    if settings.secret_key:
        return Finding("secret key", OK, "from the settings")
    if not path.exists():
        return Finding(
            "secret key",
            WARN,
            f"does not exist yet; the next start creates {path}",
            "if there was one, restore it: links in mails depend on it",
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        found = f"{path} has mode {mode:04o}: other users of this machine may read it"
        return Finding("secret key", FAIL, found, f"chmod 600 {path}")
    if settings.sqlite_path is None:
        return Finding(
            "secret key",
            WARN,
            f"from {path}",
            "set the same DRAGOMAN_SECRET_KEY on every node",
        )
    return Finding("secret key", OK, f"from {path}")


def check_secret_files(files: Mapping[str, Path]) -> Finding:
    """Check the files that secrets are read from, by the variables that name them."""
    modes = {variable: stat.S_IMODE(path.stat().st_mode) for variable, path in files.items()}
    readable = [
        f"{variable}: {files[variable]} has mode {mode:04o}"
        for variable, mode in modes.items()
        if mode & 0o077
    ]
    if readable:
        found = f"{'; '.join(readable)}: other users of this machine may read it"
        return Finding("secret files", WARN, found, "chmod 600")
    return Finding("secret files", OK, ", ".join(files) or "none")


def _check_public_url(settings: Settings) -> Finding:
    parts = urlsplit(with_public_url(settings).public_url)
    host = (parts.hostname or "").lower()
    shown = settings.public_url or "the address of the last 'dragoman serve'"
    is_local = _is_loopback(host)
    if parts.scheme == "http" and not is_local:
        return Finding(
            "public url",
            WARN,
            f"{shown}: passwords and credentials are sent unencrypted",
            "add a TLS proxy and set DRAGOMAN_PUBLIC_URL to its https address",
        )
    if is_local and settings.smtp_url:
        return Finding(
            "public url",
            WARN,
            f"links in mails lead to {shown}, which only this machine can reach",
            "set DRAGOMAN_PUBLIC_URL",
        )
    return Finding("public url", OK, shown)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _check_anonymous_rate(settings: Settings) -> Finding:
    rate = settings.anonymous_rate
    if not rate.count:
        return Finding(
            "anonymous rate",
            WARN,
            "requests without a credential are not limited",
            "set DRAGOMAN_ANONYMOUS_RATE",
        )
    return Finding("anonymous rate", OK, f"{rate.count} per {rate.seconds} s and address")


def _check_mail(settings: Settings) -> Finding:
    if not settings.smtp_url:
        return Finding(
            "mail",
            WARN,
            "no mail server: mails stay in the outbox",
            "set DRAGOMAN_SMTP_URL, or read them with 'dragoman outbox'",
        )
    if settings.mail_from == Settings().mail_from:
        return Finding(
            "mail",
            WARN,
            f"the sender is still the default, {settings.mail_from}",
            "set DRAGOMAN_MAIL_FROM",
        )
    return Finding("mail", OK, f"from {settings.mail_from}")


def _check_trusted_proxies(settings: Settings) -> Finding:
    networks = settings.trusted_proxies
    network_list = ", ".join(str(network) for network in networks)
    if any(network.prefixlen == 0 for network in networks):
        return Finding(
            "trusted proxies",
            WARN,
            f"{network_list}: any client can forge its address and evade rate limits",
            "list only the proxies in DRAGOMAN_TRUSTED_PROXIES",
        )
    return Finding("trusted proxies", OK, network_list or "none")
