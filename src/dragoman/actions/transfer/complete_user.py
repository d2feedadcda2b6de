"""The last step of a translation: a person of the values that a record has, all of them checked."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from dragoman.actions.transfer import check
from dragoman.actions.transfer.records import (
    ImportedUser,
    ImportOptions,
    Record,
    RowProblem,
    Translation,
)
from dragoman.actions.transfer.values import ValueProblem
from dragoman.rules import passwords
from dragoman.rules.errors import Problem
from dragoman.rules.passwords import PasswordRules


class Draft(msgspec.Struct):
    """What is found in a record so far.

    Attributes:
        values: the values of our fields; the password hash as the file has it.
        plain_password: a password in clear; empty if there is none.
        problems: what cannot be read.
        warnings: what is not taken over.
    """

    values: dict[str, Any] = {}
    plain_password: str = ""
    problems: list[RowProblem] = []
    warnings: list[str] = []

    def refuse(self, line: int, field: str, problem: ValueProblem) -> None:
        """Add the problem of a field."""
        text = f"{field}: {problem.message}" if field else problem.message
        self.problems.append(RowProblem(line, field, problem.code, text))


def complete(record: Record, draft: Draft, options: ImportOptions) -> Translation:
    """Return the person of a record, or all of its problems.

    Args:
        record: the record.
        draft: what is found in it; its hash is judged and its values are checked here.
        options: what the operator chose.
    """
    values = draft.values
    scheme = ""
    if values.get("password_hash", UNSET) is not UNSET:
        scheme = _take_hash(record.line, draft, options)
    if draft.plain_password:
        scheme = _take_plain_password(record.line, draft, options)
    if options.verified != "from-file" and values.get("email", UNSET) is not UNSET:
        values["verified"] = options.verified == "always"
    user = ImportedUser(line=record.line, **values)
    found = check.problems(user, options)
    if any(problem.field in {"username", "email"} for problem in draft.problems):
        found = [problem for problem in found if problem.code != "blank"]  # it is there, unreadable
    draft.problems += found
    if draft.problems:
        return Translation(problems=draft.problems, warnings=draft.warnings)
    return Translation(user=user, warnings=draft.warnings, hash_scheme=scheme)


def refuse_hash(line: int, draft: Draft, options: ImportOptions, problem: ValueProblem) -> None:
    """Refuse a row for its password hash, or drop the hash if the operator chose that.

    Args:
        line: the physical line of the record.
        draft: what is found in it; loses its hash.
        options: what the operator chose.
        problem: what is wrong, without the hash.
    """
    draft.values.pop("password_hash", None)
    if options.bad_hashes == "drop":
        draft.warnings.append(f"password dropped: {problem.message}")
    else:
        draft.refuse(line, "password_hash", problem)


def _take_hash(line: int, draft: Draft, options: ImportOptions) -> str:
    """Put the form of the hash that is stored in its place; return its scheme."""
    encoded = draft.values["password_hash"]
    verdict = passwords.judge(encoded)
    if verdict.no_password:
        del draft.values["password_hash"]
    elif verdict.accepted:
        draft.values["password_hash"] = verdict.stored
        return verdict.scheme
    elif verdict.code == "clear_password" and options.hash_plain:
        del draft.values["password_hash"]
        draft.plain_password = encoded
    else:
        refuse_hash(line, draft, options, ValueProblem(verdict.code, verdict.detail))
    return ""


def _take_plain_password(line: int, draft: Draft, options: ImportOptions) -> str:
    """Keep a password in clear for hashing, if the operator chose that; return its scheme."""
    if not options.hash_plain:
        message = "a password in clear is not imported (--hash-plain hashes them, 30 ms each)"
        draft.refuse(line, "password", ValueProblem("clear_password", message))
        return ""
    password = draft.plain_password
    problems: list[Problem] = passwords.password_rule_problems(
        password, PasswordRules(), context={}
    )
    for problem in problems:
        code = "too_long" if problem.code == "too_many_bytes" else "unsafe"
        message = f"at most {problem.detail} bytes" if code == "too_long" else "unusual characters"
        draft.refuse(line, "password", ValueProblem(code, message))
    draft.values["plain_password"] = password
    return "argon2id"
