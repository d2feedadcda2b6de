"""Pagination by ``page`` and ``limit``."""

from __future__ import annotations

from dragoman.rules.errors import Problem
from dragoman.web.calls import parse_positive_int

DEFAULT_LIMIT, MAX_LIMIT = 20, 100


class PageQuery:
    """The page that a query requests: ``page`` from 1, with ``limit`` entries.

    An empty parameter counts as absent, and a limit above ``MAX_LIMIT`` as that. ``problems``
    lists the parameters that are not positive integers.
    """

    def __init__(self, query: dict[str, str]) -> None:
        self.problems: list[Problem] = []
        self.page = self._positive_int(query, "page", 1)
        self.limit = min(self._positive_int(query, "limit", DEFAULT_LIMIT), MAX_LIMIT)

    def _positive_int(self, query: dict[str, str], key: str, default: int) -> int:
        text = query.get(key, "")
        number = parse_positive_int(text) if text else default
        if not number:
            self.problems.append(Problem(key, "not_integer"))
        return number or default

    @property
    def offset(self) -> int:
        """The number of rows before the page, at most 2**62 so that it fits 64 bits."""
        return min((self.page - 1) * self.limit, 2**62)

    def to_dict(self, total: int) -> dict[str, int]:
        """Return the ``pagination`` object of a response."""
        return {"page": self.page, "limit": self.limit, "total": total}
