"""What must be right in every answer of the wiwebb contract, whatever was requested."""

from __future__ import annotations

import httpx

from tests.support.answer_checks import (
    cache_problems,
    challenge_problems,
    common_problems,
    json_problems,
)


def answer_problems(response: httpx.Response) -> list[str]:
    """Return what is wrong with an answer of this contract, whatever was requested."""
    problems = common_problems(response, "Token") + challenge_problems(response, "Token")
    if response.content:
        problems += json_problems(response)
    if response.is_success and response.content:
        problems += cache_problems(response)
    return problems
