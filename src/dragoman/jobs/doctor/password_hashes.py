"""Checks of the password hashes that users have, by scheme and age."""

from __future__ import annotations

from dragoman.jobs.doctor.finding import Finding, ok, warn
from dragoman.rules.imported_hashes.prefixes import WEAK_SCHEMES
from dragoman.rules.imported_hashes.verdict import NO_PASSWORD
from dragoman.rules.model import DAY
from dragoman.settings import Settings
from dragoman.store import imported_hashes
from dragoman.store.transaction import Read

WARNING_DAYS = 30
"""How many days before imported hashes are dropped they are reported."""


async def check(read: Read, settings: Settings) -> list[Finding]:
    """Count users by the scheme of their hash, and imported hashes that are dropped soon."""
    return [await _check_schemes(read), await _check_unused(read, settings.imported_hashes_days)]


async def _check_schemes(read: Read) -> Finding:
    counts = await imported_hashes.count_by_scheme(read)
    without_password = counts.pop(NO_PASSWORD, 0)
    parts = [f"{scheme} {count}" for scheme, count in sorted(counts.items(), key=_most_first)]
    if without_password:
        parts.append(f"without a password {without_password}")
    found = ", ".join(parts) or "no users"
    if weak := sum(counts.get(scheme, 0) for scheme in WEAK_SCHEMES):
        return warn(
            "password hashes",
            f"{found}; {weak} of a single round",
            "who gets hold of the database guesses these passwords in no time",
            "they are replaced at the first sign-in; DRAGOMAN_IMPORTED_HASHES_DAYS drops the rest",
        )
    return ok("password hashes", found)


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


async def _check_unused(read: Read, days: int) -> Finding:
    unused = await imported_hashes.count_unused(read, read.now)
    if not days or not unused:
        found = f"{unused} have not opened anything yet" if unused else "each has been used"
        return ok("imported hashes", found)
    soon = await imported_hashes.count_unused(read, read.now - (days - WARNING_DAYS) * DAY)
    found = f"{unused} have not opened anything yet; {soon} are dropped within {WARNING_DAYS} days"
    if not soon:
        return ok("imported hashes", found)
    return warn(
        "imported hashes",
        found,
        "these users need a link to set a password then",
        "ask these users to sign in; DRAGOMAN_IMPORTED_HASHES_DAYS=0 keeps the hashes",
    )
