"""What is wrong with an answer, at whatever contract: the part that all transcripts share."""

from __future__ import annotations

import httpx


def common_problems(response: httpx.Response, scheme: str) -> list[str]:
    """Return what is wrong with an answer of any contract: its status, its headers, a hash in it."""
    problems: list[str] = []
    status, headers = response.status_code, response.headers
    if status >= 500:
        problems.append("the server failed")
    if status == 401 and not headers.get("WWW-Authenticate", "").startswith(scheme):
        problems.append(f"a 401 without `WWW-Authenticate: {scheme}`")
    if status == 405 and not headers.get("Allow"):
        problems.append("a 405 without `Allow`")
    if status == 429 and not headers.get("Retry-After"):
        problems.append("a 429 without `Retry-After`")
    if "$argon2" in response.text:
        problems.append("the answer shows a password's hash")
    return problems


def is_json(response: httpx.Response) -> bool:
    """Say whether an answer calls itself JSON."""
    return response.headers.get("Content-Type", "").startswith("application/json")


def json_problems(response: httpx.Response) -> list[str]:
    """Return what is wrong with the media type of an answer that has to be JSON."""
    return [] if is_json(response) else [f"not JSON but {response.headers.get('Content-Type')}"]


def cache_problems(response: httpx.Response) -> list[str]:
    """Return what is wrong with an answer that no cache may keep."""
    kept = response.headers.get("Cache-Control")
    return [] if kept == "no-store" else [f"may be kept by caches: Cache-Control {kept!r}"]


def challenge_problems(response: httpx.Response, scheme: str) -> list[str]:
    """Return what is wrong with a 401 whose challenge is the scheme and nothing else."""
    challenge = response.headers.get("WWW-Authenticate")
    if response.status_code != 401 or challenge == scheme:
        return []
    return [f"a 401 with `WWW-Authenticate: {challenge}` instead of `{scheme}`"]


def drf_problems(response: httpx.Response) -> list[str]:
    """Return what is wrong with an answer in Django REST framework's format."""
    problems = common_problems(response, "Token") + challenge_problems(response, "Token")
    if response.content:
        problems += json_problems(response)
    if response.is_success and response.content:
        problems += cache_problems(response)
    return problems
