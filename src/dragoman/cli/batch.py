"""One change to several users: failures are reported one by one and do not stop the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from dragoman.cli.errors import ERROR, PARTIAL, CliError, describe, echo
from dragoman.rules.errors import DirectoryError

T = TypeVar("T")


async def change_each(
    user_refs: Sequence[str], change: Callable[[str], Awaitable[T]]
) -> tuple[list[T], Exception | None]:
    """Run a change for each user and return the results, and the error to exit with.

    If there are several users, every failure is written to standard error at once, and the error
    is a summary: with the exit code PARTIAL if at least one change succeeded, else with that of
    the first failure. The error is None if all changes succeeded.
    """
    results: list[T] = []
    errors: list[Exception] = []
    for user_ref in user_refs:
        try:
            results.append(await change(user_ref))
        except (DirectoryError, CliError) as error:
            errors.append(error)
            if len(user_refs) > 1:
                _, lines = describe(error) or (ERROR, [])
                echo(f"{user_ref}: {line}" for line in lines)
    if not errors:
        return results, None
    if len(user_refs) == 1:
        return results, errors[0]
    exit_code, _ = describe(errors[0]) or (ERROR, [])
    summary = f"{len(results)} of {len(user_refs)} changes succeeded"
    return results, CliError(PARTIAL if results else exit_code, summary)
