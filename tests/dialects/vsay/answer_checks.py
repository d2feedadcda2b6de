"""What must be right in every answer of the vsay contract, whatever was requested."""

from __future__ import annotations

import httpx

from tests.support.answer_checks import (
    cache_problems,
    challenge_problems,
    common_problems,
    is_json,
    json_problems,
)

ENVELOPES = [{"success", "data"}, {"success", "message"}, {"success", "data", "message"}]


def answer_problems(response: httpx.Response) -> list[str]:
    """Return what is wrong with an answer of this contract, whatever was requested."""
    if response.request.url.path.startswith("/api/v1/"):
        return []  # another contract's
    problems = common_problems(response, "Bearer") + challenge_problems(response, "Bearer")
    problems += cache_problems(response) + json_problems(response)
    if response.content and is_json(response):
        problems += _body_problems(response)
    return problems


def _body_problems(response: httpx.Response) -> list[str]:
    body = response.json()
    if body.get("success") is not response.is_success:
        return ["`success` does not say what the status says"]
    if response.is_success:
        return [] if body.keys() in ENVELOPES else [f"an envelope with {list(body)}"]
    error = body.get("error", {})
    if body.keys() != {"success", "error"} or not error.keys() <= {"code", "message", "details"}:
        return [f"an error with {list(body)}: {list(error)}"]
    problems = [] if error["message"] else ["an error without a message"]
    if ("details" in error) and error["code"] != "VALIDATION_ERROR":
        problems.append(f"details with {error['code']}")
    return problems
