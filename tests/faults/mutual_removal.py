"""Those who remove each other through whatever contract can, and how the last one is spared."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterable, Sequence

import msgspec

from tests.faults.simultaneous import Answer, RaceRequest
from tests.support import user_requests
from tests.support.user_requests import ContractRequest, UnsupportedRequest


class Opponent(msgspec.Struct, frozen=True):
    """Somebody who can act through every contract, and can be acted upon."""

    id: int
    public_id: str
    email: str
    tokens: dict[str, str]


def removals(actor: Opponent, target: Opponent) -> list[RaceRequest]:
    """Return every way to take a rank of a tenant away from somebody."""
    requests: list[tuple[str, ContractRequest]] = []
    for contract in ("wiwebb", "accounts", "binacle", "wekan", "vsay"):
        requests.append((contract, user_requests.delete(contract, target)))
        with contextlib.suppress(UnsupportedRequest):
            requests.append((contract, user_requests.set_active(contract, target, active=False)))
        with contextlib.suppress(UnsupportedRequest):
            requests.append((contract, user_requests.set_owner(contract, target, owner=False)))
    return [
        RaceRequest.of(contract, request, actor.tokens[contract]) for contract, request in requests
    ]


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
    requests = (
        user_requests.delete("wiwebb", target),
        ContractRequest("PATCH", user_requests.user_path("wiwebb", target), {"is_active": False}),
        user_requests.set_active("wiwebb", target, active=False),
        ContractRequest(
            "POST", f"{user_requests.user_path('wiwebb', target)}assign-role/", {"role": "admin"}
        ),
    )
    return [RaceRequest.of("wiwebb", request, actor.tokens["wiwebb"]) for request in requests]
