"""Checks the values of an imported user: what can be said without the directory."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import UNSET

from dragoman.actions.transfer.records import ImportedUser, ImportOptions, RowProblem
from dragoman.rules import fields
from dragoman.rules.crypto import PUBLIC_ID_LENGTH, READABLE_ALPHABET
from dragoman.rules.errors import Problem
from dragoman.rules.fields import USER_MAX_LENGTHS, UsernameCharset
from dragoman.rules.text_keys import canonical

_PUBLIC_ID = re.compile(f"[{READABLE_ALPHABET}]{{{PUBLIC_ID_LENGTH}}}")
_TEXTS = tuple(
    (name, length, name == "bio")
    for name, length in USER_MAX_LENGTHS.items()
    if name not in {"username", "email", "url"}
)
_USERNAME_LENGTH, _EMAIL_LENGTH = USER_MAX_LENGTHS["username"], USER_MAX_LENGTHS["email"]

_CODES = {"email": "invalid", "url": "invalid", "slug": "invalid", "username": "invalid"}
_MESSAGES: Mapping[str, str] = {
    "email": "not a valid e-mail address",
    "url": "not a valid URL",
    "slug": "not a valid slug (letters, digits, - and _)",
    "username": "not a valid username",
    "blank": "empty",
    "unsafe": "control or invisible characters, or letters of several scripts",
}


def problems(user: ImportedUser, options: ImportOptions) -> list[RowProblem]:
    """Return all problems of a row's values, in the order of our fields; empty if there are none.

    Password hashes are judged where they are read (``imported_passwords``), since what is stored
    depends on the verdict.
    """
    found: list[RowProblem] = []
    username, email = user.username, user.email
    if username is UNSET and email is UNSET and not _may_match_by_id(user, options):
        message = "neither a username nor an e-mail address"
        found.append(RowProblem(user.line, "username", "blank", message))
    if username is not UNSET and not (
        len(username) <= _USERNAME_LENGTH and username.isascii() and username.isprintable()
    ):
        found += _username_problems(user.line, username, "" if email is UNSET else email)
    if email is not UNSET and not (len(email) <= _EMAIL_LENGTH and fields.is_plain_email(email)):
        found += _row_problems(user.line, email, fields.email_problems(email))
    for name, length, multiline in _TEXTS:
        value = getattr(user, name)
        if value is not UNSET and not (
            len(value) <= length and value.isascii() and value.isprintable()
        ):
            found += _row_problems(
                user.line,
                value,
                fields.text_problems(value, name, max_length=length, multiline=multiline),
            )
    if user.url is not UNSET:
        found += _row_problems(user.line, user.url, fields.url_problems(user.url))
    _check_ids_and_role(user, options, found)
    return found


def _check_ids_and_role(
    user: ImportedUser, options: ImportOptions, found: list[RowProblem]
) -> None:
    if user.public_id is not UNSET and not _PUBLIC_ID.fullmatch(user.public_id):
        message = f"public_id: not {PUBLIC_ID_LENGTH} characters of {READABLE_ALPHABET}"
        found.append(RowProblem(user.line, "public_id", "invalid", message))
    if user.tenant is not UNSET:
        found += _row_problems(user.line, user.tenant, fields.slug_problems(user.tenant, "tenant"))
    if user.role is not UNSET and user.role.is_platform_role and not options.allow_platform_roles:
        role = user.role.name.lower()
        message = f"role: {role} is a role of the whole platform; --allow-platform-roles takes it"
        found.append(RowProblem(user.line, "role", "forbidden_role", message))


def _may_match_by_id(user: ImportedUser, options: ImportOptions) -> bool:
    """Return whether a row without a name may change somebody who is there already."""
    key = {"id": user.id, "public_id": user.public_id}.get(options.match, UNSET)
    return options.on_conflict == "update" and key is not UNSET


def _username_problems(line: int, username: str, email: str) -> list[RowProblem]:
    is_email = bool(email) and canonical(username) == canonical(email)
    max_length = _EMAIL_LENGTH if is_email else _USERNAME_LENGTH
    found = fields.username_problems(
        username, charset=UsernameCharset.PERMISSIVE, max_length=max_length
    )
    return _row_problems(line, username, found)


def _row_problems(line: int, value: str, found: list[Problem]) -> list[RowProblem]:
    return [row_problem(line, value, problem) for problem in found]


def row_problem(line: int, value: str, problem: Problem) -> RowProblem:
    """Return a problem of a field as that of a row.

    Args:
        line: the physical line of the record.
        value: the value, of which only the length is shown.
        problem: what is wrong with it.
    """
    field, code = problem.field, problem.code
    if code == "too_long":
        message = f"{len(value)} characters, at most {problem.detail}"
    else:
        message = _MESSAGES[code]
    return RowProblem(line, field, _CODES.get(code, code), f"{field}: {message}")
