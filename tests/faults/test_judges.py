"""The judges of the races are judged: wrong outcomes are told, right ones pass."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
import pytest

from tests.faults.races import (
    EMAIL,
    USERNAME,
    Answer,
    Shot,
    one_winner,
    says_stale,
    says_taken,
    says_void,
    spellings,
)
from tests.faults.rivals import LAST, Rival, fall, leaving, quarrel, removals, says_last, unexpected


def said(contract: str, status: int, body: Any = None, *, form: bool = False) -> Answer:
    """Return an answer as it would come."""
    text = b"" if body is None else msgspec.json.encode(body)
    return Answer(Shot(contract, "POST", "/", {}, form=form), status, text)


CONFLICT = {"error": {"code": "CONFLICT"}}
WEKAN = {"error": 403, "reason": "Email already exists."}
TAKEN = [
    said("wiwebb", 400, {"username": [USERNAME]}),
    said("accounts", 400, {"email": [EMAIL]}),
    said("binacle", 409),
    said("wekan", 400, WEKAN),
    said("vsay", 409, CONFLICT),
]
NOT_TAKEN = [
    said("wiwebb", 400, {"username": ["This field is required."]}),
    said("wiwebb", 400, {"username": [USERNAME], "email": ["Enter a valid email address."]}),
    said("accounts", 409, {"email": [EMAIL]}),
    said("binacle", 400),
    said("binacle", 409, {}),
    said("wekan", 400, {"error": 400, "reason": "Match failed"}),
    said("vsay", 409, {"error": {"code": "NOT_FOUND"}}),
    said("wiwebb", 503, {"username": [USERNAME]}),
]


@pytest.mark.parametrize("answer", TAKEN, ids=str)
def test_the_word_for_taken_is_known(answer: Answer) -> None:
    assert says_taken(answer)


@pytest.mark.parametrize("answer", NOT_TAKEN, ids=str)
def test_no_other_word_is_taken_for_it(answer: Answer) -> None:
    assert not says_taken(answer)


def test_one_alone_wins() -> None:
    won = said("binacle", 201)
    assert one_winner([*TAKEN, won], says_taken) == []
    assert one_winner([*TAKEN, won, won], says_taken) != []
    assert one_winner(TAKEN, says_taken) != []
    for status in (400, 401, 404, 500, 503):
        assert one_winner([*TAKEN, won, said("binacle", status)], says_taken) != []
    void = said("vsay", 404, {"error": {"code": "NOT_FOUND"}})
    assert one_winner([won, void], says_taken) != []
    assert one_winner([won, void], says_taken, says_void) == []
    assert one_winner([won, said("wiwebb", 400, {"uid": ["Invalid value"]})], says_stale) != []


@pytest.mark.parametrize("name", ["ren\u00e9e7", "ren\u00e9e7@race.test"])
def test_a_name_is_spelled_in_every_way(name: str) -> None:
    found = spellings(name)
    assert len(found) >= 12
    assert len(set(found)) == len(found)
    assert any(each.upper() == each for each in (one.partition("@")[0] for one in found))
    assert any(not unicodedata.is_normalized("NFC", each) for each in found)
    assert any("\uff45" in each for each in found), "none is wide"


def rival(number: int) -> Rival:
    names = ("accounts", "binacle", "vsay", "wekan", "wiwebb")
    return Rival(number, f"p{number}", f"r{number}@race.test", {n: f"{n}{number}" for n in names})


def test_everybody_removes_everybody_else_by_every_way() -> None:
    import random

    three = [rival(n) for n in range(3)]
    shots = [shot for seed in range(60) for shot in quarrel(three, random.Random(seed))]
    assert len(shots) == 60 * 6
    known = {shot for by in three for whom in three for shot in map(str, removals(by, whom))}
    met = {str(shot) for shot in shots}
    own = {str(shot) for who in three for shot in removals(who, who)}
    assert met == known - own
    assert {shot.contract for shot in fall(three[0], three[1])} == {"wiwebb"}
    for name in three[0].tokens:
        shot = leaving(three[0], name)
        assert (shot.contract, shot.method) == (name, "DELETE")


def test_a_failure_is_no_outcome_of_a_quarrel() -> None:
    assert unexpected([said("wekan", status) for status in (200, 204, 400, 401, 404, 409)]) == []
    for status in (429, 500, 502, 503):
        assert unexpected([said("wekan", status)]) != []


def test_the_last_owner_is_told_so_in_the_contract_s_words() -> None:
    for name in ("wiwebb", "accounts"):
        assert says_last(said(name, 400, {"non_field_errors": [LAST]}))
        assert not says_last(said(name, 400, {"non_field_errors": ["Something else."]}))
        assert not says_last(said(name, 401, {"non_field_errors": [LAST]}))
    assert says_last(said("binacle", 409))
    assert not says_last(said("binacle", 404))
    assert says_last(said("wekan", 400, {"error": "last-owner"}))
    assert not says_last(said("wekan", 400, {"error": "not-found"}))
    assert says_last(said("vsay", 409, CONFLICT))
    assert not says_last(said("vsay", 409, {"error": {"code": "NOT_FOUND"}}))
