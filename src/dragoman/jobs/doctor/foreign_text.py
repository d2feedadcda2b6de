"""Texts of other servers, as a finding may quote them."""

from __future__ import annotations

MAX_LENGTH = 200


def printable(text: str) -> str:
    """Return one short line of what a server has said, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_LENGTH else f"{line[: MAX_LENGTH - 1]}…"
