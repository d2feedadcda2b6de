"""Those who remove each other through whatever contract can, and how the last one is spared."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from tests.faults.races import Answer, Shot


class Rival(msgspec.Struct, frozen=True):
    """Somebody who can act through every contract, and can be acted upon."""

    id: int
    public_id: str
    email: str
    tokens: dict[str, str]


def removals(by: Rival, whom: Rival) -> list[Shot]:
    """Return every way to take a rank of a tenant away from somebody."""
    number, public, mail = whom.id, whom.public_id, quote(whom.email, safe="@")
    user = f"/api/v1/users/{number}/"
    asked: list[tuple[str, str, str, dict[str, Any] | None]] = [
        ("wiwebb", "DELETE", user, None),
        ("wiwebb", "POST", f"{user}activate/", {"is_active": False}),
        ("wiwebb", "POST", f"{user}assign-role/", {"role": "subscriber"}),
        ("accounts", "DELETE", f"/api/users/{number}", None),
        ("binacle", "DELETE", f"/api/users/{mail}", None),
        ("binacle", "PUT", f"/api/users/{mail}", {"status": "Inactive"}),
        ("binacle", "PUT", f"/api/users/{mail}", {"type": "User"}),
        ("wekan", "DELETE", f"/api/users/{public}", None),
        ("wekan", "PUT", f"/api/users/{public}", {"action": "disableLogin"}),
        ("vsay", "DELETE", f"/users/usr_{public}", None),
        ("vsay", "PUT", f"/users/usr_{public}", {"role": "member"}),
    ]
    return [Shot(*each, by.tokens[each[0]]) for each in asked]


def leaving(who: Rival, contract: str) -> Shot:
    """Return how somebody takes itself out of the directory."""
    own = [shot for shot in removals(who, who) if shot.method == "DELETE"]
    return next(shot for shot in own if shot.contract == contract)


def quarrel(
    rivals: Sequence[Rival],
    chance: random.Random,
    ways: Callable[[Rival, Rival], list[Shot]] = removals,
) -> list[Shot]:
    """Return how everybody removes everybody else, each by whatever way chance gives."""
    pairs = list(itertools.permutations(rivals, 2))
    chance.shuffle(pairs)
    return [chance.choice(ways(by, whom)) for by, whom in pairs]


def unexpected(answers: Iterable[Answer]) -> list[str]:
    """Return what no quarrel may end in: who was removed meanwhile is refused, never a failure."""
    fine = {200, 201, 204, 400, 401, 403, 404, 409}
    return [str(answer) for answer in answers if answer.status not in fine]


LAST = "At least one active owner must remain."


def says_last(answer: Answer) -> bool:
    """Say whether an answer is the contract's own word for the last owner who must stay."""
    match answer.shot.contract:
        case "wiwebb" | "accounts":
            return (answer.status, answer.told()) == (400, {"non_field_errors": [LAST]})
        case "binacle":
            return (answer.status, answer.body) == (409, b"")
        case "wekan":
            return answer.status == 400 and answer.told()["error"] == "last-owner"
        case _:
            return answer.status == 409 and answer.told()["error"]["code"] == "CONFLICT"


def fall(by: Rival, whom: Rival) -> list[Shot]:
    """Return every way to take the platform's highest rank away from somebody."""
    user = f"/api/v1/users/{whom.id}/"
    token = by.tokens["wiwebb"]
    return [
        Shot("wiwebb", "DELETE", user, None, token),
        Shot("wiwebb", "PATCH", user, {"is_active": False}, token),
        Shot("wiwebb", "POST", f"{user}activate/", {"is_active": False}, token),
        Shot("wiwebb", "POST", f"{user}assign-role/", {"role": "admin"}, token),
    ]
