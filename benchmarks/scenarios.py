"""What is asked for: the same paths of every target."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from benchmarks.data import ADMIN_ID, SEED, Dataset
from benchmarks.servers import Target

DRAWN = 5000
"""How many random ids a scenario asks for in turn; the same ones of every target."""
CHECKED = 20


class Scenario(msgspec.Struct, frozen=True):
    """A kind of request, and in whose name it is made."""

    name: str
    caller: str
    paths: Callable[[Dataset], list[str]]


def _retrieve(dataset: Dataset) -> list[str]:
    draw = random.Random(SEED + 2)
    ids = (draw.randint(ADMIN_ID + 1, dataset.users) for _ in range(DRAWN))
    return [f"/api/v1/users/{number}/" for number in ids]


def _list(_: Dataset) -> list[str]:
    return ["/api/v1/users/"]


def _filtered(_: Dataset) -> list[str]:
    return ["/api/v1/users/?role=subscriber&is_active=true"]


SCENARIOS = (
    Scenario("retrieve, random id, by an administrator", "admin", _retrieve),
    Scenario("list page 1 with count, half of all users", "owner", _list),
    Scenario("list filtered by role and state, with count", "owner", _filtered),
)


def differences(scenario: Scenario, dataset: Dataset, targets: list[Target]) -> list[str]:
    """Ask every target for the same things once; return where their answers are not the same."""
    found: list[str] = []
    with httpx.Client(timeout=30) as client:
        for path in dict.fromkeys(scenario.paths(dataset)[:CHECKED]):
            answers = [_answer(client, target, scenario, path) for target in targets]
            found += [
                f"{path}: {target.name} answers {answer}, {targets[0].name} {answers[0]}"
                for target, answer in zip(targets, answers, strict=True)
                if answer != answers[0] or answer[0] != 200
            ]
    return found


def _answer(client: httpx.Client, target: Target, scenario: Scenario, path: str) -> tuple[int, Any]:
    """Return status and body; links without the address, which is each target's own."""
    headers = {"Authorization": f"Token {target.tokens[scenario.caller]}"}
    answer = client.get(target.url + path, headers=headers)
    return answer.status_code, msgspec.json.decode(answer.content.replace(target.url.encode(), b""))
