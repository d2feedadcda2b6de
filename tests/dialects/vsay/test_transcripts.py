"""Every transcript of the vsay contract, on both databases."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.support.transcript_player import ContractProfile, play
from tests.support.world import World

FILES = sorted(Path(__file__).with_name("transcripts").glob("*.http"))
ENVELOPES = [{"success", "data"}, {"success", "message"}, {"success", "data", "message"}]


def authorize(world: World, name: str) -> dict[str, str]:
    """Speak as somebody of the world; ``mia@wiwebb`` presents the credential of that contract."""
    person, _, contract = name.partition("@")
    return {"Authorization": f"Bearer {world.people[person].tokens[contract or 'vsay']}"}


def answer_problems(response: httpx.Response) -> list[str]:
    """Say what is wrong with any answer of this contract, whatever was asked."""
    wrong: list[str] = []
    headers = response.headers
    if response.request.url.path.startswith("/api/v1/"):
        return wrong  # another contract's
    if response.status_code >= 500:
        wrong.append("the server failed")
    if response.status_code == 401 and headers.get("WWW-Authenticate") != "Bearer":
        wrong.append("a 401 without `WWW-Authenticate: Bearer`")
    if response.status_code == 405 and not headers.get("Allow"):
        wrong.append("a 405 without `Allow`")
    if headers.get("Cache-Control") != "no-store":
        wrong.append(f"may be kept by caches: Cache-Control {headers.get('Cache-Control')!r}")
    if not headers.get("Content-Type", "").startswith("application/json"):
        return [*wrong, f"the answer is no JSON but {headers.get('Content-Type')}"]
    if response.content:
        wrong += _body_problems(response)
    if "$argon2" in response.text:
        wrong.append("the answer shows a password's hash")
    return wrong


def _body_problems(response: httpx.Response) -> list[str]:
    body = response.json()
    if body.get("success") is not response.is_success:
        return ["`success` does not say what the status says"]
    if response.is_success:
        return [] if body.keys() in ENVELOPES else [f"an envelope of {list(body)}"]
    error = body.get("error", {})
    if body.keys() != {"success", "error"} or not error.keys() <= {"code", "message", "details"}:
        return [f"a refusal of {list(body)}: {list(error)}"]
    wrong = [] if error["message"] else ["a refusal without a message"]
    if ("details" in error) and error["code"] != "VALIDATION_ERROR":
        wrong.append(f"details with {error['code']}")
    return wrong


PROFILE = ContractProfile(contract="vsay", authorize=authorize, answer_problems=answer_problems)


@pytest.mark.anyio
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_transcript(path: Path, seeded_database: tuple[str, World]) -> None:
    """The server answers as the contract says."""
    database, world = seeded_database
    failures = await play(path, database, world, PROFILE)
    if failures:
        pytest.fail("\n\n".join([f"{len(failures)} deviations", *failures]), pytrace=False)
