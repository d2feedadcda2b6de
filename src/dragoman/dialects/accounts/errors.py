"""Errors of the accounts contract: Django REST framework's, with its own messages for ids."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem
from dragoman.web import drf
from dragoman.web.calls import Call
from dragoman.web.errors import ErrorRenderer, Messages, error_handler, taken_as_invalid

FIELD_NAMES = {"current": "current_password"}
"""The contract's names of the directory's fields, where they differ."""

MESSAGES: Messages = {
    **drf.MESSAGES,
    "not_integer": lambda type_name: f"Incorrect type. Expected pk value, received {type_name}.",
    "not_list": lambda type_name: f'Expected a list of items but got type "{type_name}".',
}


def _invalid(_: Call, error: errors.Invalid) -> Response:
    return drf.field_errors_response(error, MESSAGES, FIELD_NAMES)


def _field_error(code: str) -> ErrorRenderer:
    """Return a renderer of an error that names its field, as a problem with this code."""
    return lambda call, error: _invalid(call, errors.Invalid(Problem(error.field, code)))


ERROR_RENDERERS: Mapping[type[Exception], ErrorRenderer] = {
    **drf.ERROR_RENDERERS,
    errors.Invalid: _invalid,
    errors.Taken: lambda call, error: _invalid(call, taken_as_invalid(error)),
    errors.Unchanged: _field_error("fixed"),
    errors.InvalidLink: _field_error("invalid"),
}
handle_error = error_handler(ERROR_RENDERERS)
