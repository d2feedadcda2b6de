"""What a terminal may be sent: NO_COLOR (no-color.org) and TERM=dumb are obeyed by every command."""

from __future__ import annotations

import os


def is_plain() -> bool:
    """Return whether output must have no colours and no other escape sequences."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "") in {"dumb", "unknown"}
