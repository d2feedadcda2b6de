"""What must be right in every answer of the wekan contract, whatever was requested."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.answer_checks import cache_problems, challenge_problems, common_problems

SHORT = {"error", "reason"}
METEOR = SHORT | {"isClientSafe", "message", "errorType"}


def answer_problems(response: httpx.Response) -> list[str]:
    """Return what is wrong with an answer of this contract, whatever was requested."""
    status, path = response.status_code, response.request.url.path
    if not _is_ours(path):
        return ["the server failed"] if status >= 500 else []
    problems = common_problems(response, "Bearer") + challenge_problems(response, "Bearer")
    problems += cache_problems(response)
    if response.content and response.headers.get("Content-Type") != "application/json":
        problems.append(f"not JSON but {response.headers.get('Content-Type')}")
    if response.content and status >= 400:
        problems += _error_body_problems(path, status, response.json())
    if "$2" in response.text:
        problems.append("the answer shows a password's bcrypt hash")
    return problems


def _is_ours(path: str) -> bool:
    return not path.startswith(("/api/v1/", "/wiwebb/"))


def _error_body_problems(path: str, status: int, body: dict[str, Any]) -> list[str]:
    """Below /users an error and its reason; below /api Meteor's whole error."""
    if path.removeprefix("/wekan").startswith("/users/"):
        return [] if body.keys() == SHORT else ["an error of another form"]
    keys = METEOR if status == 400 else METEOR | {"statusCode"}
    message = f"{body.get('reason')} [{body.get('error')}]"
    is_right = (
        body.keys() == keys
        and body["isClientSafe"] is True
        and body["errorType"] == "Meteor.Error"
        and body["message"] == message
        and body.get("statusCode", status) == status
    )
    return [] if is_right else ["an error of another form"]
