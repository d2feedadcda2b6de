"""The judges of the races are judged: wrong outcomes are told, right ones pass."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
import pytest

from tests.faults.mutual_removal import (
    LAST_OWNER_MESSAGE,
    Opponent,
    is_last_owner_error,
    mutual_removals,
    removals,
    self_removal,
    superadmin_removals,
    unexpected_answers,
)
from tests.faults.simultaneous import (
    EMAIL,
    USERNAME,
    Answer,
    RaceRequest,
    claims,
    is_invalid_invitation_error,
    is_taken_error,
    is_used_link_error,
    single_holder_problems,
    single_success_problems,
    spellings,
)
from tests.support.user_requests import SIGN_UP_PATHS


def make_answer(contract: str, status: int, body: Any = None, *, form: bool = False) -> Answer:
    """Return an answer as it would come."""
    text = b"" if body is None else msgspec.json.encode(body)
    return Answer(RaceRequest(contract, "POST", "/", {}, form=form), status, text)


CONFLICT = {"error": {"code": "CONFLICT"}}
WEKAN = {"error": 403, "reason": "Email already exists."}
TAKEN = [
    make_answer("wiwebb", 400, {"username": [USERNAME]}),
    make_answer("accounts", 400, {"email": [EMAIL]}),
    make_answer("wiwebb", 400, {"username": [USERNAME], "email": [EMAIL]}),
    make_answer("binacle", 409),
    make_answer("wekan", 400, WEKAN),
    make_answer("vsay", 409, CONFLICT),
]
NOT_TAKEN = [
    make_answer("wiwebb", 400, {}),
    make_answer("wiwebb", 400, {"username": ["This field is required."]}),
    make_answer("wiwebb", 400, {"username": [USERNAME], "email": ["Enter a valid email address."]}),
    make_answer("accounts", 409, {"email": [EMAIL]}),
    make_answer("binacle", 400),
    make_answer("binacle", 409, {}),
    make_answer("wekan", 400, {"error": 400, "reason": "Match failed"}),
    make_answer("vsay", 409, {"error": {"code": "NOT_FOUND"}}),
    make_answer("wiwebb", 503, {"username": [USERNAME]}),
]


@pytest.mark.parametrize("answer", TAKEN, ids=str)
def test_the_word_for_taken_is_known(answer: Answer) -> None:
    assert is_taken_error(answer)


@pytest.mark.parametrize("answer", NOT_TAKEN, ids=str)
def test_no_other_word_is_taken_for_it(answer: Answer) -> None:
    assert not is_taken_error(answer)


def test_single_holder_check() -> None:
    """One sign-up may come before the holder, but not two, and not without the holder."""
    won = make_answer("binacle", 201)
    claim = Answer(RaceRequest("accounts", "POST", SIGN_UP_PATHS["accounts"], {}), 201)
    other = Answer(RaceRequest("wekan", "POST", SIGN_UP_PATHS["wekan"], {}), 200)
    assert claims([*TAKEN, won, claim]) == [claim]
    for winners in ([won], [won, claim], [won, other]):
        assert single_holder_problems([*TAKEN, *winners], is_taken_error) == []
    for winners in ([], [claim], [won, won], [won, won, claim], [won, claim, other]):
        assert single_holder_problems([*TAKEN, *winners], is_taken_error) != []
    refused = Answer(claim.request, 403)
    assert single_holder_problems([*TAKEN, won, refused], is_taken_error) != []


def test_single_success_check() -> None:
    won = make_answer("binacle", 201)
    assert single_success_problems([*TAKEN, won], is_taken_error) == []
    assert single_success_problems([*TAKEN, won, won], is_taken_error) != []
    assert single_success_problems(TAKEN, is_taken_error) != []
    for status in (400, 401, 404, 500, 503):
        assert (
            single_success_problems([*TAKEN, won, make_answer("binacle", status)], is_taken_error)
            != []
        )
    void = make_answer("vsay", 404, {"error": {"code": "NOT_FOUND"}})
    assert single_success_problems([won, void], is_taken_error) != []
    assert single_success_problems([won, void], is_taken_error, is_invalid_invitation_error) == []
    assert (
        single_success_problems(
            [won, make_answer("wiwebb", 400, {"uid": ["Invalid value"]})], is_used_link_error
        )
        != []
    )


@pytest.mark.parametrize("name", ["ren\u00e9e7", "ren\u00e9e7@race.test"])
def test_a_name_is_spelled_in_every_way(name: str) -> None:
    found = spellings(name)
    assert len(found) >= 12
    assert len(set(found)) == len(found)
    assert any(each.upper() == each for each in (one.partition("@")[0] for one in found))
    assert any(not unicodedata.is_normalized("NFC", each) for each in found)
    assert any("\uff45" in each for each in found), "none is wide"


def make_opponent(number: int) -> Opponent:
    names = ("accounts", "binacle", "vsay", "wekan", "wiwebb")
    return Opponent(
        number, f"p{number}", f"r{number}@race.test", {n: f"{n}{number}" for n in names}
    )


def test_everybody_removes_everybody_else_by_every_way() -> None:
    import random

    three = [make_opponent(n) for n in range(3)]
    shots = [shot for seed in range(60) for shot in mutual_removals(three, random.Random(seed))]
    assert len(shots) == 60 * 6
    known = {shot for by in three for whom in three for shot in map(str, removals(by, whom))}
    met = {str(shot) for shot in shots}
    own = {str(shot) for who in three for shot in removals(who, who)}
    assert met == known - own
    assert {shot.contract for shot in superadmin_removals(three[0], three[1])} == {"wiwebb"}
    for name in three[0].tokens:
        shot = self_removal(three[0], name)
        assert (shot.contract, shot.method) == (name, "DELETE")


def test_server_errors_are_unexpected_answers() -> None:
    assert (
        unexpected_answers(
            [make_answer("wekan", status) for status in (200, 204, 400, 401, 404, 409)]
        )
        == []
    )
    for status in (429, 500, 502, 503):
        assert unexpected_answers([make_answer("wekan", status)]) != []


def test_the_last_owner_is_told_so_in_the_contract_s_words() -> None:
    for name in ("wiwebb", "accounts"):
        assert is_last_owner_error(
            make_answer(name, 400, {"non_field_errors": [LAST_OWNER_MESSAGE]})
        )
        assert not is_last_owner_error(
            make_answer(name, 400, {"non_field_errors": ["Something else."]})
        )
        assert not is_last_owner_error(
            make_answer(name, 401, {"non_field_errors": [LAST_OWNER_MESSAGE]})
        )
    assert is_last_owner_error(make_answer("binacle", 409))
    assert not is_last_owner_error(make_answer("binacle", 404))
    assert is_last_owner_error(make_answer("wekan", 400, {"error": "last-owner"}))
    assert not is_last_owner_error(make_answer("wekan", 400, {"error": "not-found"}))
    assert is_last_owner_error(make_answer("vsay", 409, CONFLICT))
    assert not is_last_owner_error(make_answer("vsay", 409, {"error": {"code": "NOT_FOUND"}}))
