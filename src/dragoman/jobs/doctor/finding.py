"""The result of one check of ``dragoman doctor``."""

from __future__ import annotations

import msgspec

OK, WARN, FAIL = "ok", "warn", "fail"


class Finding(msgspec.Struct, frozen=True):
    """The result of one check: its state, what was found, and what to do about it."""

    check: str
    state: str
    found: str
    advice: str = ""


def ok_or_fail(check: str, passed: bool, found: str, advice: str) -> Finding:
    """Return an OK finding if the check has passed, else a FAIL with the advice.

    Args:
        check: the name of the check.
        passed: whether it has passed.
        found: what was found.
        advice: what to do about it.
    """
    return Finding(check, OK, found) if passed else Finding(check, FAIL, found, advice)
