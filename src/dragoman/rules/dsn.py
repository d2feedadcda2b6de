"""What addresses look like: of databases, of hosts; and what Kubernetes says of them unasked."""

from __future__ import annotations

import re

_DSN = re.compile(
    r"""postgres(?:ql)?:// (?:[^/?\#@]*@)?
    (?: (?:\[[^\[\]/?\#@]+\] | [^\[\]\s:,/?\#@]+) (?::[0-9]{1,5})?  # a host, and its port
        (?: , (?:\[[^\[\]/?\#@]+\] | [^\[\]\s:,/?\#@]+) (?::[0-9]{1,5})? )* )?  # and more of them
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
    """Return a DSN for each host of one (``//user@host:1,other:2/name``), in their order."""
    match = _DSN_PARTS.fullmatch(dsn)
    if match is None:
        return [dsn]
    prefix, hosts, suffix = match.groups()
    return [f"{prefix}{host}{suffix}" for host in hosts.split(",")]


def check_dsn(dsn: str) -> None:
    """Raise ValueError, which quotes nothing of it, if this is no address of PostgreSQL.

    A plain ``/`` or ``@`` in a password would end it, and its rest be read, and shown, as a host.
    """
    match = _DSN_PARTS.fullmatch(dsn)
    hosts = match[2] if match else ""
    if hosts and any(host.partition(":")[0] == "" for host in hosts.split(",")):
        raise ValueError("a host is missing, beside a comma or before a port")
    if _DSN.fullmatch(dsn) is None:
        raise ValueError(
            "must read like postgresql://user:password@host:5432/name; "
            "in a user's name or password, / is written %2F, @ %40, and so on"
        )


def canonical_host(text: str) -> str:
    """Return the name of a host as requests are compared with it: lower case, no last dot.

    Raises ValueError for what no request's host can equal once its port is taken off.
    """
    if not text.isascii():
        raise ValueError(f"{text}: must be written in ASCII (punycode, xn--…), as it is requested")
    name = text.lower().removesuffix(".")
    if _HOST_NAME.fullmatch(name) is None:
        raise ValueError(f"{text}: must be the name of a host alone, without port, path or *")
    return name


def is_service_link(variable: str, value: str, service: str) -> bool:
    """Whether Kubernetes sets this variable because of a Service named so, or so and ``-more``.

    It does in every pod of the namespace:
    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    """
    suffix = variable.removeprefix(service)
    if suffix == variable:
        return False
    if _LINK_SUFFIX.fullmatch(suffix):
        return True
    # Of this one a person may think that it is where we listen: then the value is a number.
    return _PORT_SUFFIX.fullmatch(suffix) is not None and _PORT_URL.fullmatch(value) is not None
