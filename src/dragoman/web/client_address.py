"""The client's address, also behind trusted proxies (X-Forwarded-For, or RFC 7239)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from starlette.requests import Request

from dragoman.rules.client_addresses import normalize, normalize_hop
from dragoman.settings import Settings
from dragoman.web.logs import log

X_FORWARDED_FOR = "x-forwarded-for"

_ELEMENT = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"])*')
_PAIR = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    r"(\"(?:[^\"\\]|\\.)*\"|[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*"
)
_MAX_LOGGED = 64


class _FirstUnreadableHop:
    """Warns about the first hop that cannot be read, once per process."""

    warned = False

    def report(self, header: str, hop: str, proxy: str) -> None:
        if not self.warned:
            self.warned = True
            log.warning(
                "forwarded_unreadable",
                header=header,
                value=hop[:_MAX_LOGGED],
                proxy=proxy,
                advice="requests like this count as the proxy's own; see DRAGOMAN_FORWARDED",
            )


unreadable_hop = _FirstUnreadableHop()


def client_address(request: Request, settings: Settings) -> str:
    """Return the client's IP address.

    The header of ``settings.forwarded`` is used only if the connection comes from a trusted proxy.
    It is read from the right, up to the first address that is not a trusted proxy, or up to a hop
    that cannot be read: then the proxy that wrote it is the client.
    """
    client = request.scope.get("client")
    address = normalize(client[0]) if client else ""
    if not settings.trusted_proxies or not _is_trusted_proxy(address, settings):
        return address
    for hop in _hops(request, settings.forwarded):
        normalized = normalize_hop(hop)
        if not normalized:
            unreadable_hop.report(settings.forwarded, hop, address)
            return address
        address = normalized
        if not _is_trusted_proxy(address, settings):
            return address
    return address


def _hops(request: Request, header: str) -> Iterator[str]:
    """Yield what the proxies wrote, the last one first; empty items are skipped."""
    for line in reversed(request.headers.getlist(header)):
        if header == X_FORWARDED_FOR:
            yield from (hop for part in reversed(line.split(",")) if (hop := part.strip()))
        else:
            yield from _forwarded_for(line)


def _forwarded_for(line: str) -> Iterator[str]:
    """Yield the ``for`` parameters of a Forwarded header (RFC 7239, section 4), the last first.

    Of an element that is malformed or lacks the parameter, a text that is no address is yielded.
    """
    elements: list[str] = []
    position = 0
    while position <= len(line):
        match = _ELEMENT.match(line, position)
        assert match is not None, "the pattern matches the empty string"
        if match.end() < len(line) and line[match.end()] != ",":
            elements.append(line[position:])  # a quotation mark without its second one
            break
        elements.append(match[0])
        position = match.end() + 1
    for element in reversed(elements):
        if element.strip():
            yield _for_parameter(element) or f"for=? {element.strip()}"


def _for_parameter(element: str) -> str:
    """Return the one ``for`` parameter of an element; "" if there is none, or it is malformed."""
    value, position = "", 0
    while position < len(element):
        match = _PAIR.match(element, position)
        if match is None or (match.end() < len(element) and element[match.end()] != ";"):
            return ""
        if match[1].lower() == "for":
            if value:
                return ""
            value = match[2]
        position = match.end() + 1
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _is_trusted_proxy(address: str, settings: Settings) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in settings.trusted_proxies)
