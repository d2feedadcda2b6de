"""Syntax of database URLs, of host names and of the variables that Kubernetes sets for Services."""

from __future__ import annotations

import re

_DSN = re.compile(
    r"""postgres(?:ql)?:// (?:[^/?\#@]*@)?
    (?: (?:\[[^\[\]/?\#@]+\] | [^\[\]\s:,/?\#@]+) (?::[0-9]{1,5})?  # a host with an optional port
        (?: , (?:\[[^\[\]/?\#@]+\] | [^\[\]\s:,/?\#@]+) (?::[0-9]{1,5})? )* )?  # further hosts
    (?:/[^?\#@]*)? (?:\?[^\#]*)?""",
    re.VERBOSE,
)
_DSN_PARTS = re.compile(r"(\w+://(?:[^/?#@]*@)?)([^/?#]*)(.*)", re.DOTALL)
_HOST_NAME = re.compile(
    r"\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*"
)
_LINK_SUFFIX = re.compile(
    r"(?:_[A-Z0-9_]+)?_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT_[0-9]{1,5}_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_PORT_SUFFIX = re.compile(r"(?:_[A-Z0-9_]+)?_PORT")
_PORT_URL = re.compile(r"(?:tcp|udp|sctp)://\S+")


def split_hosts(dsn: str) -> list[str]:
    """Return one DSN per host of a DSN with several (``//user@host:1,other:2/name``), in order."""
    match = _DSN_PARTS.fullmatch(dsn)
    if match is None:
        return [dsn]
    prefix, hosts, suffix = match.groups()
    return [f"{prefix}{host}{suffix}" for host in hosts.split(",")]


def check_dsn(dsn: str) -> None:
    """Raise ValueError if this is not a valid PostgreSQL URL; the message quotes no part of it.

    An unescaped ``/`` or ``@`` would end the password early. The rest of it would be taken for a
    host name and shown in messages.
    """
    match = _DSN_PARTS.fullmatch(dsn)
    hosts = match[2] if match else ""
    if hosts and any(host.partition(":")[0] == "" for host in hosts.split(",")):
        raise ValueError("a host name is missing before or after a comma, or before a port")
    if _DSN.fullmatch(dsn) is None:
        raise ValueError(
            "must have the form postgresql://user:password@host:5432/name (special characters in "
            "user and password must be percent-encoded: / as %2F, @ as %40)"
        )


def canonical_host(text: str) -> str:
    """Return a host name in canonical form: in lower case and without a trailing dot.

    Raises ValueError if it is not a host name that a request can have, apart from its port.
    """
    if not text.isascii():
        raise ValueError(f"{text}: must be ASCII; write international names in punycode (xn--…)")
    name = text.lower().removesuffix(".")
    if _HOST_NAME.fullmatch(name) is None:
        raise ValueError(f"{text}: must be a host name without port, path or wildcard")
    return name


def is_service_link(variable: str, value: str, service: str) -> bool:
    """Return whether Kubernetes sets this variable for a Service named ``service``.

    Also True for Services whose name starts with ``service`` and a hyphen. Kubernetes sets these
    variables in every pod of the namespace:
    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    """
    suffix = variable.removeprefix(service)
    if suffix == variable:
        return False
    if _LINK_SUFFIX.fullmatch(suffix):
        return True
    # An operator may set this one by mistake for the port to listen on; its value is a number then.
    return _PORT_SUFFIX.fullmatch(suffix) is not None and _PORT_URL.fullmatch(value) is not None
