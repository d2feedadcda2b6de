"""Every fact has a voice at the terminal, and says nothing that it should not."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from dragoman.cli.errors import PROBLEM_MESSAGES, REASON_MESSAGES, describe
from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason

SAMPLES: dict[str, Any] = {
    "field": "token", "reason": Reason.RANK, "retry_after": 7, "component": "database", "message": "why",
    "limit": 100, "media_type": "text/plain", "type_name": "list", "detail": "",
}  # fmt: skip


def every_error() -> list[errors.DirectoryError]:
    """One of each class of the rules."""
    made: list[errors.DirectoryError] = []
    for _, error_class in inspect.getmembers(errors, inspect.isclass):
        if issubclass(error_class, errors.DirectoryError) and error_class is not errors.Invalid:
            own = error_class.__init__ is not Exception.__init__
            asked = inspect.signature(error_class.__init__).parameters if own else {}
            made.append(error_class(**{name: SAMPLES[name] for name in asked if name in SAMPLES}))
    return made


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_is_described(error: errors.DirectoryError) -> None:
    said = describe(error)
    assert said is not None
    code, lines = said
    assert code in {1, 3, 4}
    assert lines
    assert all(lines)


def test_a_fact_that_is_new_speaks_like_its_ancestor() -> None:
    class Newer(errors.NotFound):
        pass

    said = describe(Newer())
    assert said is not None
    assert said[0] == 3


def test_what_is_no_fact_is_a_bug() -> None:
    assert describe(KeyError("x")) is None
    assert describe(BrokenPipeError()) is None


def test_every_code_and_reason_has_a_sentence() -> None:
    assert PROBLEM_MESSAGES.keys() == errors.PROBLEM_CODES
    assert REASON_MESSAGES.keys() == set(Reason)


def test_problems_are_told_one_a_line() -> None:
    wrong = Problem("email", "email"), Problem("password", "too_short", 8)
    assert describe(errors.Invalid(*wrong)) == (
        1,
        ["email: is no e-mail address", "password: must have at least 8 characters"],
    )
    assert describe(errors.Invalid(Problem("email", "taken"))) == (4, ["email: is taken"])
    mixed = errors.Invalid(Problem("email", "taken"), Problem("username", "blank"))
    assert describe(mixed) == (1, ["email: is taken", "username: must not be empty"])
