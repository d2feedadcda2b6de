"""The contracts: one package per contract; none imports another."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Protocol, cast

from dragoman.actions.directory import Directory
from dragoman.settings import ContractSettings
from dragoman.web.calls import Contract
from dragoman.web.routing import ContractApp

NAMES = (
    "accounts",
    "binacle",
    "vsay",
    "wekan",
    "wiwebb",
)  # fmt: skip


class Dialect(Protocol):
    """What every dialect's ``routes`` module defines.

    Attributes:
        CONTRACT: name, credentials, restrictions and error handler.
        DOCUMENTED_PATHS: matches the contract's paths, with or without a trailing slash.
        OPENAPI: the file of its OpenAPI document.
    """

    CONTRACT: Contract
    DOCUMENTED_PATHS: re.Pattern[str]
    OPENAPI: Path

    def build(self, directory: Directory) -> ContractApp:
        """Return the contract as an ASGI application."""
        ...


def load(name: str) -> Dialect:
    """Return a dialect, which is imported now. Raises ImportError for an unknown name."""
    return cast("Dialect", importlib.import_module(f"dragoman.dialects.{name}.routes"))


def mail_links() -> dict[str, str]:
    """Return the path of the page that a mail's link opens, by the kind of the mail.

    Collects the ``MAIL_LINKS`` of every dialect's package, also of those that are not served. Does
    not import the rest of the dialects. Each path has the placeholders ``{public_id}`` (optional)
    and ``{secret}``.
    """
    packages = {name: importlib.import_module(f"{__name__}.{name}") for name in NAMES}
    return {
        kind: f"/{name}{path}"
        for name, package in packages.items()
        for kind, path in getattr(package, "MAIL_LINKS", {}).items()
    }


def import_columns() -> dict[str, str]:
    """Return the names that the contracts have for fields of users, and ours, for imports.

    Collects the ``IMPORT_COLUMNS`` of every dialect's package, also of those that are not served.
    Does not import the rest of the dialects. ``!`` before a field of ours means its opposite.
    """
    packages = (importlib.import_module(f"{__name__}.{name}") for name in NAMES)
    return {
        theirs: ours
        for package in packages
        for theirs, ours in getattr(package, "IMPORT_COLUMNS", {}).items()
    }


def declared_settings() -> tuple[type[ContractSettings], ...]:
    """Return the settings classes of all dialects that have a ``settings`` module.

    Does not import the rest of the dialects. Includes contracts that are not served.
    """
    names = [f"{__name__}.{name}.settings" for name in NAMES]
    return tuple(
        importlib.import_module(name).SETTINGS for name in names if importlib.util.find_spec(name)
    )
