"""The result of one check of ``dragoman doctor``."""

from __future__ import annotations

import msgspec

OK, WARN, FAIL = "ok", "warn", "fail"


class Finding(msgspec.Struct, frozen=True):
    """The result of one check: its state, what was found, what follows, and what mends it."""

    check: str
    state: str
    found: str
    consequence: str = ""
    advice: str = ""


def ok(check: str, found: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(check, OK, found)


def warn(check: str, found: str, consequence: str, advice: str) -> Finding:
    """Return a finding that needs attention.

    Args:
        check: the name of the check.
        found: what is wrong.
        consequence: what follows from it.
        advice: the command or setting that mends it.
    """
    return Finding(check, WARN, found, consequence, advice)


def fail(check: str, found: str, consequence: str, advice: str) -> Finding:
    """Return a failed check.

    Args:
        check: the name of the check.
        found: what is wrong.
        consequence: what follows from it.
        advice: the command or setting that mends it.
    """
    return Finding(check, FAIL, found, consequence, advice)


def ok_or_fail(check: str, passed: bool, found: str, consequence: str, advice: str) -> Finding:
    """Return an OK finding if the check has passed, else a failed one.

    Args:
        check: the name of the check.
        passed: whether it has passed.
        found: what was found.
        consequence: what follows from it, if it has not passed.
        advice: what mends it.
    """
    return ok(check, found) if passed else fail(check, found, consequence, advice)
