"""Every transcript of the binacle contract, on both databases."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.support.transcript_player import ContractProfile, play
from tests.support.world import World

FILES = sorted(Path(__file__).with_name("transcripts").glob("*.http"))


def authorize(world: World, name: str) -> dict[str, str]:
    """Speak as somebody of the world."""
    return {"Authorization": f"Bearer {world.people[name].tokens['binacle']}"}


def answer_problems(response: httpx.Response) -> list[str]:
    """Say what is wrong with any answer of this contract, whatever was asked."""
    wrong: list[str] = []
    status, headers = response.status_code, response.headers
    if status >= 500:
        wrong.append("the server failed")
    if status == 401 and not headers.get("WWW-Authenticate", "").startswith("Bearer"):
        wrong.append("a 401 without `WWW-Authenticate: Bearer`")
    if status == 405 and not headers.get("Allow"):
        wrong.append("a 405 without `Allow`")
    if response.content and status not in {200, 400}:
        wrong.append(f"a {status} with a body")
    if response.content and headers.get("Content-Type") != "application/json":
        wrong.append(f"the answer is no JSON but {headers.get('Content-Type')}")
    if status == 400 and response.content and response.json().keys() != {"message", "errors"}:
        wrong.append("a refusal of another form")
    if response.is_success and headers.get("Cache-Control") != "no-store":
        wrong.append(f"may be kept by caches: Cache-Control {headers.get('Cache-Control')!r}")
    if "$argon2" in response.text:
        wrong.append("the answer shows a password's hash")
    return wrong


PROFILE = ContractProfile(contract="binacle", authorize=authorize, answer_problems=answer_problems)


@pytest.mark.anyio
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_transcript(path: Path, seeded_database: tuple[str, World]) -> None:
    """The server answers as the contract says."""
    database, world = seeded_database
    failures = await play(path, database, world, PROFILE)
    if failures:
        pytest.fail("\n\n".join([f"{len(failures)} deviations", *failures]), pytrace=False)
