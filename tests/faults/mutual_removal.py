"""Those who remove each other through whatever contract can, and how the last one is spared."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from tests.faults.simultaneous import Answer, RaceRequest


class Opponent(msgspec.Struct, frozen=True):
    """Somebody who can act through every contract, and can be acted upon."""

    id: int
    public_id: str
    email: str
    tokens: dict[str, str]


def removals(actor: Opponent, target: Opponent) -> list[RaceRequest]:
    """Return every way to take a rank of a tenant away from somebody."""
    number, public, mail = target.id, target.public_id, quote(target.email, safe="@")
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
    return [RaceRequest(*each, actor.tokens[each[0]]) for each in asked]


def self_removal(who: Opponent, contract: str) -> RaceRequest:
    """Return how somebody takes itself out of the directory."""
    own = [shot for shot in removals(who, who) if shot.method == "DELETE"]
    return next(shot for shot in own if shot.contract == contract)


def mutual_removals(
    opponents: Sequence[Opponent],
    rng: random.Random,
    removal_requests: Callable[[Opponent, Opponent], list[RaceRequest]] = removals,
) -> list[RaceRequest]:
    """Return how everybody removes everybody else, each by whatever way chance gives."""
    pairs = list(itertools.permutations(opponents, 2))
    rng.shuffle(pairs)
    return [rng.choice(removal_requests(by, whom)) for by, whom in pairs]


def unexpected_answers(answers: Iterable[Answer]) -> list[str]:
    """Return what no quarrel may end in: who was removed meanwhile is refused, never a failure."""
    fine = {200, 201, 204, 400, 401, 403, 404, 409}
    return [str(answer) for answer in answers if answer.status not in fine]


LAST_OWNER_MESSAGE = "At least one active owner must remain."


def is_last_owner_error(answer: Answer) -> bool:
    """Say whether an answer is the contract's own word for the last owner who must stay."""
    match answer.request.contract:
        case "wiwebb" | "accounts":
            return (answer.status, answer.json()) == (
                400,
                {"non_field_errors": [LAST_OWNER_MESSAGE]},
            )
        case "binacle":
            return (answer.status, answer.body) == (409, b"")
        case "wekan":
            return answer.status == 400 and answer.json()["error"] == "last-owner"
        case _:
            return answer.status == 409 and answer.json()["error"]["code"] == "CONFLICT"


def superadmin_removals(actor: Opponent, target: Opponent) -> list[RaceRequest]:
    """Return every way to take the platform's highest rank away from somebody."""
    user = f"/api/v1/users/{target.id}/"
    token = actor.tokens["wiwebb"]
    return [
        RaceRequest("wiwebb", "DELETE", user, None, token),
        RaceRequest("wiwebb", "PATCH", user, {"is_active": False}, token),
        RaceRequest("wiwebb", "POST", f"{user}activate/", {"is_active": False}, token),
        RaceRequest("wiwebb", "POST", f"{user}assign-role/", {"role": "admin"}, token),
    ]
