"""Every fact has a voice at the terminal, and says nothing that it should not."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from dragoman.cli.errors import REASONS, SENTENCES, speak
from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason

SAMPLES: dict[str, Any] = {
    "field": "token", "reason": Reason.RANK, "why": "inactive", "retry_after": 7, "what": "database",
    "limit": 100, "media_type": "text/plain", "kind": "list", "detail": "",
}  # fmt: skip


def every_fact() -> list[errors.Failure]:
    """One of each class of the rules."""
    made: list[errors.Failure] = []
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.Failure) and kind is not errors.Invalid:
            own = kind.__init__ is not Exception.__init__
            asked = inspect.signature(kind.__init__).parameters if own else {}
            made.append(kind(**{name: SAMPLES[name] for name in asked if name in SAMPLES}))
    return made


@pytest.mark.parametrize("fault", every_fact(), ids=lambda fault: type(fault).__name__)
def test_every_fact_is_told(fault: errors.Failure) -> None:
    said = speak(fault)
    assert said is not None
    code, lines = said
    assert code in {1, 3, 4}
    assert lines
    assert all(lines)


def test_a_fact_that_is_new_speaks_like_its_ancestor() -> None:
    class Newer(errors.NotFound):
        pass

    said = speak(Newer())
    assert said is not None
    assert said[0] == 3


def test_what_is_no_fact_is_a_bug() -> None:
    assert speak(KeyError("x")) is None
    assert speak(BrokenPipeError()) is None


def test_every_code_and_reason_has_a_sentence() -> None:
    assert SENTENCES.keys() == errors.CODES
    assert REASONS.keys() == set(Reason)


def test_problems_are_told_one_a_line() -> None:
    wrong = Problem("email", "email"), Problem("password", "too_short", 8)
    assert speak(errors.Invalid(*wrong)) == (
        1,
        ["email: is no e-mail address", "password: must have at least 8 characters"],
    )
    assert speak(errors.Invalid(Problem("email", "taken"))) == (4, ["email: is taken"])
    mixed = errors.Invalid(Problem("email", "taken"), Problem("username", "blank"))
    assert speak(mixed) == (1, ["email: is taken", "username: must not be empty"])
