"""Checks of the settings and of the files that they name."""

from __future__ import annotations

import ipaddress
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dragoman.jobs.doctor.finding import Finding, fail, ok, warn
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
        return ok("secret key", "from the settings")
    if not path.exists():
        return warn(
            "secret key",
            f"does not exist yet; the next start creates {path}",
            "if there was one, links in mails and signing keys are lost without it",
            f"restore {path} if there was one, else run 'dragoman serve'",
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return fail(
            "secret key",
            f"{path} has mode {mode:04o}",
            "other users of this machine may read it, and make valid links",
            f"chmod 600 {path}",
        )
    if settings.sqlite_path is None:
        return warn(
            "secret key",
            f"from {path}",
            "a node that finds no such file makes another key, and does not start",
            "set the same DRAGOMAN_SECRET_KEY on every node",
        )
    return ok("secret key", f"from {path}")


def check_secret_files(files: Mapping[str, Path]) -> Finding:
    """Check the files that secrets are read from, by the variables that name them."""
    modes = {variable: stat.S_IMODE(path.stat().st_mode) for variable, path in files.items()}
    readable = [
        f"{variable}: {files[variable]} has mode {mode:04o}"
        for variable, mode in modes.items()
        if mode & 0o077
    ]
    if readable:
        paths = " ".join(str(files[name]) for name, mode in modes.items() if mode & 0o077)
        return warn(
            "secret files",
            "; ".join(readable),
            "other users of this machine may read these secrets",
            f"chmod 600 {paths}",
        )
    return ok("secret files", ", ".join(files) or "none")


def _check_public_url(settings: Settings) -> Finding:
    parts = urlsplit(with_public_url(settings).public_url)
    host = (parts.hostname or "").lower()
    shown = settings.public_url or "the address of the last 'dragoman serve'"
    is_local = _is_loopback(host)
    if parts.scheme == "http" and not is_local:
        return warn(
            "public url",
            shown,
            "passwords and credentials are sent unencrypted",
            "add a TLS proxy and set DRAGOMAN_PUBLIC_URL to its https address",
        )
    if is_local and settings.smtp_url:
        return warn(
            "public url",
            shown,
            "links in mails lead to an address that only this machine can reach",
            "set DRAGOMAN_PUBLIC_URL to the address that users reach",
        )
    return ok("public url", shown)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _check_anonymous_rate(settings: Settings) -> Finding:
    rate = settings.anonymous_rate
    if not rate.count:
        return warn(
            "anonymous rate",
            "requests without a credential are not limited",
            "one client can keep the server busy with sign-ins and sign-ups",
            "set DRAGOMAN_ANONYMOUS_RATE=60/minute",
        )
    return ok("anonymous rate", f"{rate.count} per {rate.seconds} s and address")


def _check_mail(settings: Settings) -> Finding:
    if not settings.smtp_url:
        return warn(
            "mail",
            "no mail server",
            "mails stay in the outbox, and nobody gets a link",
            "set DRAGOMAN_SMTP_URL, or read them with 'dragoman outbox'",
        )
    if settings.mail_from == Settings().mail_from:
        return warn(
            "mail",
            f"the sender is still the default, {settings.mail_from}",
            "most mail servers refuse it, or treat it as spam",
            "set DRAGOMAN_MAIL_FROM to an address of your domain",
        )
    return ok("mail", f"from {settings.mail_from}")


def _check_trusted_proxies(settings: Settings) -> Finding:
    networks = settings.trusted_proxies
    network_list = ", ".join(str(network) for network in networks)
    if any(network.prefixlen == 0 for network in networks):
        return warn(
            "trusted proxies",
            network_list,
            "any client can forge its address and evade rate limits",
            "list only the proxies in DRAGOMAN_TRUSTED_PROXIES",
        )
    return ok("trusted proxies", network_list or "none")
