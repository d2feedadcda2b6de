"""What the console says about each problem of a field."""

from __future__ import annotations

from collections.abc import Iterable

from dragoman.rules.errors import Problem
from dragoman.web.errors import Messages, messages_by_field

MESSAGES: Messages = {
    "required": "Fill this in.",
    "blank": "Fill this in.",
    "null": "Fill this in.",
    "not_string": "This is not text.",
    "not_boolean": "Choose yes or no.",
    "not_integer": "Write a whole number.",
    "not_list": "This is not a list.",
    "too_long": lambda limit: f"Use at most {limit} characters.",
    "too_short": lambda limit: f"Use at least {limit} characters.",
    "email": "This is not an e-mail address.",
    "url": "This is not a web address. It begins with http:// or https://.",
    "slug": "Use letters, digits, - and _ alone.",
    "username": "Usernames have letters, digits and @ . + - _ alone.",
    "unsafe": "This has invisible characters, or letters of several scripts.",
    "choice": "Choose one of the list.",
    "unknown": "There is no such entry.",
    "taken": "This is taken already.",
    "not_own_email": "This is the e-mail address of another person.",
    "common": "This password is in every list of passwords that attackers try.",
    "numeric": "Use more than digits.",
    "similar": "This is too much like the name or the address.",
    "weak": "This role needs a stronger password: 15 characters or more.",
    "too_many_bytes": lambda limit: f"Use at most {limit} bytes.",
    "mismatch": "Both passwords have to be the same.",
    "wrong": "This is not your password.",
    "tenant_required": "This role needs a tenant.",
    "foreign_tenant": "This is another tenant than yours.",
    "fixed": "This cannot be changed.",
    "invalid": "This cannot be read.",
}


def by_field(problems: Iterable[Problem]) -> dict[str, list[str]]:
    """Return the messages for each field."""
    return messages_by_field(problems, MESSAGES, {})
