"""Which part of a list is asked for, and how an answer tells it."""

from __future__ import annotations

from dragoman.rules.errors import Problem
from dragoman.web.calls import parse_positive_int

DEFAULT_LIMIT, MAX_LIMIT = 20, 100


class PageQuery:
    """Which part of a list is asked for: ``page`` from 1, ``limit`` to a page, from the query.

    What is empty counts as absent, a larger limit than ``MOST`` as that; ``problems`` tells what
    is no positive number.
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
        """Return how many rows come before; beyond every list where it would not fit 64 bits."""
        return min((self.page - 1) * self.limit, 2**62)

    def to_dict(self, total: int) -> dict[str, int]:
        """Return the ``pagination`` of an answer."""
        return {"page": self.page, "limit": self.limit, "total": total}
