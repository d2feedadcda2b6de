"""Every transcript of the wekan contract, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.transcript_player import ContractProfile, play
from tests.support.world import World

FILES = sorted(Path(__file__).with_name("transcripts").glob("*.http"))
SHORT = {"error", "reason"}
METEOR = SHORT | {"isClientSafe", "message", "errorType"}


def authorize(world: World, name: str) -> dict[str, str]:
    """Speak as somebody of the world; ``wiwebb:mia`` with the credential of that contract."""
    contract, _, who = name.rpartition(":")
    scheme = "Token" if contract == "wiwebb" else "Bearer"
    return {"Authorization": f"{scheme} {world.people[who].tokens[contract or 'wekan']}"}


def answer_problems(response: httpx.Response) -> list[str]:
    """Say what is wrong with any answer of this contract, whatever was asked."""
    wrong: list[str] = []
    status, headers = response.status_code, response.headers
    if status >= 500:
        wrong.append("the server failed")
    if not _is_ours(response.request.url.path):
        return wrong
    if status == 401 and headers.get("WWW-Authenticate") != "Bearer":
        wrong.append("a 401 without `WWW-Authenticate: Bearer`")
    if status == 405 and not headers.get("Allow"):
        wrong.append("a 405 without `Allow`")
    if status == 429 and not headers.get("Retry-After"):
        wrong.append("a 429 without `Retry-After`")
    if response.content and headers.get("Content-Type") != "application/json":
        wrong.append(f"the answer is no JSON but {headers.get('Content-Type')}")
    if headers.get("Cache-Control") != "no-store":
        wrong.append(f"may be kept by caches: Cache-Control {headers.get('Cache-Control')!r}")
    if response.content and status >= 400:
        wrong += _error_body_problems(response.request.url.path, status, response.json())
    if "$argon2" in response.text or "$2" in response.text:
        wrong.append("the answer shows a password's hash")
    return wrong


def _is_ours(path: str) -> bool:
    return not path.startswith(("/api/v1/", "/wiwebb/"))


def _error_body_problems(path: str, status: int, body: dict[str, Any]) -> list[str]:
    """Below /users an error and its reason; below /api Meteor's whole error."""
    if path.removeprefix("/wekan").startswith("/users/"):
        return [] if body.keys() == SHORT else ["a refusal of another form"]
    keys = METEOR if status == 400 else METEOR | {"statusCode"}
    message = f"{body.get('reason')} [{body.get('error')}]"
    right = (
        body.keys() == keys
        and body["isClientSafe"] is True
        and body["errorType"] == "Meteor.Error"
        and body["message"] == message
        and body.get("statusCode", status) == status
    )
    return [] if right else ["a refusal of another form"]


PROFILE = ContractProfile(contract="wekan", authorize=authorize, answer_problems=answer_problems)


@pytest.mark.anyio
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_transcript(path: Path, seeded_database: tuple[str, World]) -> None:
    """The server answers as the contract says."""
    database, world = seeded_database
    failures = await play(path, database, world, PROFILE)
    if failures:
        pytest.fail("\n\n".join([f"{len(failures)} deviations", *failures]), pytrace=False)
