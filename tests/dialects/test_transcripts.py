"""Every transcript of every contract, on both databases.

A dialect's folder has its ``transcripts/*.http`` and an ``answer_checks.py``: what must be right in
every one of its answers. Nothing here names a dialect.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from dragoman import dialects
from tests.support import transcript
from tests.support.transcript_player import ContractProfile, play
from tests.support.world import World

HERE = Path(__file__).parent
CASES = [
    pytest.param(name, path, id=f"{name}/{path.stem}")
    for name in dialects.NAMES
    for path in sorted((HERE / name / "transcripts").glob("*.http"))
]
SCHEMES: dict[str, str] = {name: dialects.load(name).CONTRACT.scheme for name in dialects.NAMES}


def profile_of(name: str) -> ContractProfile:
    """Return how a contract's transcripts are played."""
    checks = importlib.import_module(f"tests.dialects.{name}.answer_checks")

    def authorize(world: World, actor: str) -> dict[str, str]:
        """Return the header of ``mia``, or of ``mia@wiwebb`` with another contract's credential."""
        person, _, other = actor.partition("@")
        contract = other or name
        token = world.people[person].tokens[contract]
        return {"Authorization": f"{SCHEMES[contract]} {token}"}

    return ContractProfile(
        contract=name, authorize=authorize, answer_problems=checks.answer_problems
    )


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "path"), CASES)
async def test_transcript(name: str, path: Path, seeded_database: tuple[str, World]) -> None:
    """The server answers as the contract says."""
    if missing := set(transcript.parse(path).needs) - set(dialects.NAMES):
        pytest.skip(f"speaks with {', '.join(sorted(missing))}")
    database, world = seeded_database
    failures = await play(path, database, world, profile_of(name))
    if failures:
        pytest.fail("\n\n".join([f"{len(failures)} deviations", *failures]), pytrace=False)


@pytest.mark.parametrize("name", dialects.NAMES)
def test_every_contract_has_transcripts(name: str) -> None:
    """A dialect without any would pass the test above."""
    assert list((HERE / name / "transcripts").glob("*.http"))
