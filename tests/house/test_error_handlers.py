"""Every fact has a voice in every dialect and at the terminal; every problem has a sentence."""

from __future__ import annotations

import importlib
import inspect
import json

import pytest
from starlette.requests import Request

from dragoman import dialects
from dragoman.actions.directory import Directory
from dragoman.cli import errors as terminal
from dragoman.rules import errors
from dragoman.rules.errors import PROBLEM_CODES, DirectoryError, Problem, Reason
from dragoman.settings import Settings
from dragoman.web import body_errors, drf
from dragoman.web.calls import Call
from dragoman.web.errors import Messages, MethodNotAllowed, message_for
from dragoman.web.pagination import NoSuchPage

ERRORS: list[Exception] = [
    errors.NotFound(),
    errors.Taken("username"),
    errors.Taken("email"),
    errors.Invalid(Problem("username", "required"), Problem("email", "taken")),
    *(errors.Forbidden(reason) for reason in Reason),
    errors.Unauthenticated("missing"),
    errors.Unauthenticated("unknown"),
    errors.Unauthenticated("inactive"),
    *(errors.Unauthenticated("malformed", how) for how in ("alone", "spaces", "characters")),
    errors.BadCredentials(),
    errors.InvalidLink("uid"),
    errors.InvalidLink("token"),
    errors.RateLimited(7),
    errors.LastOwner(),
    errors.LastSuperadmin(),
    errors.Unchanged("password"),
    errors.Inactive(),
    errors.InUse(),
    errors.NoTenant(),
    errors.WeakPassword(),
    errors.Unavailable("database", 3),
    errors.UnsupportedDatabase("SQLite 3.40.1 is too old", "install apsw"),
    body_errors.BadRequest("why"),
    body_errors.TooLarge(10),
    body_errors.UnsupportedMedia("text/plain"),
    body_errors.NotAnObject("list"),
    errors.DirectoryError("something new"),
    MethodNotAllowed("PUT", ("GET", "POST")),
    NoSuchPage(),
    RuntimeError("a secret of ours"),
]
SEPARATE = {errors.Unavailable: 503, errors.RateLimited: 429, MethodNotAllowed: 405}


def test_every_error_is_listed() -> None:
    there = {
        made
        for made in vars(errors).values()
        if inspect.isclass(made) and issubclass(made, DirectoryError)
    }
    assert there <= {type(fact) for fact in ERRORS}


def call_at(name: str) -> Call:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
    }
    directory = Directory.__new__(Directory)
    directory.settings = Settings()
    return Call(Request(scope), directory, dialects.load(name).CONTRACT)


@pytest.mark.parametrize("name", dialects.NAMES)
@pytest.mark.parametrize("fact", ERRORS, ids=[f"{n}-{fact!r}" for n, fact in enumerate(ERRORS)])
def test_every_error_is_handled_by_every_contract(name: str, fact: Exception) -> None:
    answer = dialects.load(name).CONTRACT.handle_error(call_at(name), fact)
    bug = not isinstance(fact, DirectoryError)
    assert answer.status_code == 500 if bug else 400 <= answer.status_code < 504
    expected = SEPARATE.get(type(fact))
    assert expected in {None, answer.status_code}
    if isinstance(fact, errors.Unavailable | errors.RateLimited):
        assert answer.headers["retry-after"] == str(fact.retry_after)
    if isinstance(fact, errors.Unauthenticated):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"]
    if isinstance(fact, MethodNotAllowed):
        assert answer.headers["allow"] == "GET, POST"
    assert b"a secret of ours" not in answer.body
    if answer.body:
        json.loads(bytes(answer.body))


@pytest.mark.parametrize("name", dialects.NAMES)
@pytest.mark.parametrize("code", sorted(PROBLEM_CODES))
def test_every_problem_has_a_message_everywhere(name: str, code: str) -> None:
    for field in ("username", "email", "password", "role"):
        if code == "taken" and field in {"password", "role"}:
            continue
        fact = errors.Invalid(Problem(field, code, "email"))
        answer = dialects.load(name).CONTRACT.handle_error(call_at(name), fact)
        assert 400 <= answer.status_code < 500, (field, answer.status_code)


def message_tables() -> dict[str, Messages]:
    """Return every table of problems' messages: the shared one, and those of the dialects."""
    found: dict[str, Messages] = {"web.drf": drf.MESSAGES}
    for name in dialects.NAMES:
        module = importlib.import_module(f"dragoman.dialects.{name}.errors")
        if hasattr(module, "MESSAGES"):
            found[name] = module.MESSAGES
    return found


MESSAGE_TABLES = message_tables()


@pytest.mark.parametrize("messages", MESSAGE_TABLES.values(), ids=MESSAGE_TABLES.keys())
def test_every_problem_has_a_message_of_one_style(messages: Messages) -> None:
    assert messages.keys() >= PROBLEM_CODES
    for code in PROBLEM_CODES - {"taken"}:
        message = message_for(Problem("password", code, "email"), messages)
        assert message[0].isupper() or message[0] == '"', message


def test_every_error_is_described_by_the_cli() -> None:
    for fact in ERRORS:
        said = terminal.describe(fact)
        if not isinstance(fact, DirectoryError):
            assert said is None, "a bug is no fact"
            continue
        assert said is not None
        code, lines = said
        assert code in {1, 3, 4}, fact
        assert all(line.strip() for line in lines), fact


def test_every_problem_has_a_message_in_the_cli() -> None:
    for code in PROBLEM_CODES:
        assert terminal.problem_message(Problem("email", code, 7)).startswith("email: "), code
