"""IP addresses of clients: their canonical form, and the network that counts as one client."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

IPV6_PREFIX = 64
"""Length of the network that a single client gets in IPv6 (RFC 6177): it may use every address."""

_WITH_PORT = re.compile(r"\[([0-9a-fA-F:.%]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


@lru_cache(maxsize=1024)
def normalize(text: str) -> str:
    """Return an address in canonical form, IPv4-mapped IPv6 ones as IPv4; "" if it is invalid."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def normalize_hop(text: str) -> str:
    """Return the address that a proxy wrote, without a port and brackets; "" if it is invalid."""
    match = _WITH_PORT.fullmatch(text)
    return normalize((match[1] or match[2]) if match else text)


@lru_cache(maxsize=1024)
def client_network(address: str) -> str:
    """Return the key under which requests from an address are counted.

    That is the address itself in IPv4, and its network of ``IPV6_PREFIX`` bits in IPv6. A text
    that is no address is returned as it is.
    """
    normalized = normalize(address)
    if ":" not in normalized:
        return normalized or address
    network = ipaddress.ip_network(f"{normalized.partition('%')[0]}/{IPV6_PREFIX}", strict=False)
    return str(network)
