"""Values of imported fields: what is read, what says nothing, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from dragoman.actions.transfer import values
from dragoman.actions.transfer.values import ValueProblem
from dragoman.rules.model import DAY, Role

NOW = 1_764_000_000_000_000  # 2025-11-24
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "word", ["yes", "YES", "true", "True", "t", "1", 1, True, " true "], ids=repr
)
def test_true(word: Any) -> None:
    assert values.boolean(word) is True


@pytest.mark.parametrize("word", ["no", "FALSE", "f", "0", 0, False], ids=repr)
def test_false(word: Any) -> None:
    assert values.boolean(word) is False


@pytest.mark.parametrize(
    "word", ["WAHR", "oui", "on", "y", "2", 2, 1.0, [], "nein", "ja"], ids=repr
)
def test_nothing_local_is_a_boolean(word: Any) -> None:
    with pytest.raises(ValueProblem) as caught:
        values.boolean(word)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize("field", values.CONVERTERS)
@pytest.mark.parametrize("nothing", ["", "  ", None], ids=repr)
def test_what_says_nothing(field: str, nothing: Any) -> None:
    convert = values.CONVERTERS[field]
    if convert is values.nullable_boolean and nothing is None:
        assert convert(nothing) is None
    else:
        assert convert(nothing) is UNSET


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-05-31T12:00:00Z", "2024-05-31T12:00:00+00:00"),
        ("2024-05-31t12:00:00z", "2024-05-31T12:00:00+00:00"),
        ("2024-05-31 12:00:00", "2024-05-31T12:00:00+00:00"),
        ("2024-05-31 12:00", "2024-05-31T12:00:00+00:00"),
        ("2024-05-31", "2024-05-31T00:00:00+00:00"),
        ("2024-05-31 12:00:00.123456+00", "2024-05-31T12:00:00.123456+00:00"),
        ("2024-05-31 12:00:00.1234567 +02:00", "2024-05-31T10:00:00.123456+00:00"),
        ("2024-05-31T12:00:00-0530", "2024-05-31T17:30:00+00:00"),
        ("1717156800", "2024-05-31T12:00:00+00:00"),
        (1717156800, "2024-05-31T12:00:00+00:00"),
        (1717156800.5, "2024-05-31T12:00:00.500000+00:00"),
        ("1717156800123", "2024-05-31T12:00:00.123000+00:00"),
        ("1717156800123456", "2024-05-31T12:00:00.123456+00:00"),
    ],
    ids=repr,
)
def test_times(written: Any, meant: str) -> None:
    at = values.time(written, now=NOW)
    assert isinstance(at, int)
    assert EPOCH + timedelta(microseconds=at) == datetime.fromisoformat(meant)


@given(
    seconds=st.integers(7305 * 86_400, 20089 * 86_400),  # 1990 to 2025
    microseconds=st.integers(0, 999_999),
    hours=st.integers(-14, 14),
)
def test_every_time_of_the_standard_is_read(seconds: int, microseconds: int, hours: int) -> None:
    at = EPOCH + timedelta(seconds=seconds, microseconds=microseconds)
    local = at.astimezone(timezone(timedelta(hours=hours)))
    expected = (at - EPOCH) // timedelta(microseconds=1)
    for separator in "T ":
        for written in (local.isoformat(separator), local.isoformat(separator).replace("+", " +")):
            assert values.time(written, now=NOW) == expected


@pytest.mark.parametrize("zero", ["0", 0, "0000-00-00", "0000-00-00 00:00:00"], ids=repr)
def test_zero_is_no_time(zero: Any) -> None:
    assert values.time(zero, now=NOW) is UNSET


@pytest.mark.parametrize(
    "written",
    [
        "31/05/2024",
        "05/31/2024 12:00",
        "31.05.2024",
        "2020-02-30T00:00:00Z",
        "2024-05-31T25:00:00Z",
        "2024-05-31T12:00:00+25:00",
        "2024-W22-5T12:00:00",
        "yesterday",
        "1989-12-31T23:59:59Z",
        NOW + 2 * DAY,
        "12345678",
        -1,
        float("nan"),
        [],
        "2024-05-31T12:00:00Z and more",
        "٢٠٢٤-05-31",
    ],
    ids=repr,
)
def test_no_times(written: Any) -> None:
    with pytest.raises(ValueProblem) as caught:
        values.time(written, now=NOW)
    assert caught.value.code == "invalid"


def test_moments_may_be_far() -> None:
    far = values.moment("9999-12-31 23:59:59.9999999 +00:00")
    assert isinstance(far, int)
    assert far > NOW


@pytest.mark.parametrize("word", [5, "5", " 5 ", 2**63 - 1], ids=repr)
def test_ids(word: Any) -> None:
    assert values.integer(word) in {5, 2**63 - 1}


@pytest.mark.parametrize(
    "word", ["0", 0, -1, "1.5", 1.5, True, str(2**63), "9" * 5000, "１", "x"], ids=repr
)
def test_no_ids(word: Any) -> None:
    with pytest.raises(ValueProblem):
        values.integer(word)


def test_texts_are_texts() -> None:
    assert values.text(" a b ") == "a b"
    assert values.secret(" a ") == " a "
    for other in (5, True, [], {}, 1.5):
        for convert in (values.text, values.secret):
            with pytest.raises(ValueProblem, match="instead of a text"):
                convert(other)


def test_roles() -> None:
    assert values.role("Owner") == Role.OWNER
    with pytest.raises(ValueProblem, match="'emperor'") as caught:
        values.role("emperor")
    assert caught.value.code == "unknown_role"
