"""Floor 4: one folder is one contract; siblings never meet."""

from __future__ import annotations

import importlib
from typing import Any

NAMES = (
    "accounts",
    "binacle",
    "vsay",
    "wekan",
    "wiwebb",
)  # fmt: skip


def load(name: str) -> Any:
    """Return a dialect's package: ``build(directory)`` and ``DOCUMENTED``; imported only now."""
    return importlib.import_module(f"dragoman.dialects.{name}.routes")
