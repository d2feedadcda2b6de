"""Terminal messages and exit codes of all errors."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from dragoman.cli.errors import PROBLEM_MESSAGES, REASON_MESSAGES, describe
from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason

SAMPLES: dict[str, Any] = {
    "found": "SQLite 3.40.1 is too old",
    "advice": "install apsw",
    "field": "token", "reason": Reason.RANK, "retry_after": 7, "component": "database", "message": "why",
    "limit": 100, "media_type": "text/plain", "type_name": "list", "detail": "",
}  # fmt: skip


def every_error() -> list[errors.DirectoryError]:
    """Return one instance of each error class."""
    instances: list[errors.DirectoryError] = []
    for _, error_class in inspect.getmembers(errors, inspect.isclass):
        if issubclass(error_class, errors.DirectoryError) and error_class is not errors.Invalid:
            has_init = error_class.__init__ is not Exception.__init__
            parameters = inspect.signature(error_class.__init__).parameters if has_init else {}
            instances.append(
                error_class(**{name: SAMPLES[name] for name in parameters if name in SAMPLES})
            )
    return instances


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_is_described(error: errors.DirectoryError) -> None:
    description = describe(error)
    assert description is not None
    code, lines = description
    assert code in {1, 3, 4}
    assert lines
    assert all(lines)


def test_new_error_is_described_like_its_base_class() -> None:
    class NewError(errors.NotFound):
        pass

    description = describe(NewError())
    assert description is not None
    assert description[0] == 3


def test_unexpected_exceptions_are_not_described() -> None:
    assert describe(KeyError("x")) is None
    assert describe(BrokenPipeError()) is None


def test_every_code_and_reason_has_a_message() -> None:
    assert PROBLEM_MESSAGES.keys() == errors.PROBLEM_CODES
    assert REASON_MESSAGES.keys() == set(Reason)


def test_one_line_per_problem() -> None:
    problems = Problem("email", "email"), Problem("password", "too_short", 8)
    assert describe(errors.Invalid(*problems)) == (
        1,
        ["email: not a valid e-mail address", "password: must be at least 8 characters"],
    )
    assert describe(errors.Invalid(Problem("email", "taken"))) == (4, ["email: already in use"])
    mixed = errors.Invalid(Problem("email", "taken"), Problem("username", "blank"))
    assert describe(mixed) == (1, ["email: already in use", "username: must not be empty"])
