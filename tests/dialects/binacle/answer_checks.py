"""What must be right in every answer of the binacle contract, whatever was requested."""

from __future__ import annotations

import httpx

from tests.support.answer_checks import cache_problems, common_problems


def answer_problems(response: httpx.Response) -> list[str]:
    """Return what is wrong with an answer of this contract, whatever was requested."""
    problems = common_problems(response, "Bearer")  # with or without error="invalid_token"
    status = response.status_code
    if response.content and status not in {200, 400}:
        problems.append(f"a {status} with a body")
    if response.content and response.headers.get("Content-Type") != "application/json":
        problems.append(f"not JSON but {response.headers.get('Content-Type')}")
    if status == 400 and response.content and response.json().keys() != {"message", "errors"}:
        problems.append("an error of another form")
    if response.is_success:
        problems += cache_problems(response)
    return problems
