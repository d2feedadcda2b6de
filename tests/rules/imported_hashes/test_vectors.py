"""All hashes of other products: what is accepted verifies, what is refused is named."""

from __future__ import annotations

import pytest

from dragoman.rules import passwords
from tests.support.hash_vectors import REFUSED, VECTORS, VERIFIED, Vector, one_of_each_scheme


def identified(vectors: list[Vector]) -> list[pytest.ParameterSet]:
    return [
        pytest.param(vector, id=f"{vector.scheme}-{number}")
        for number, vector in enumerate(vectors)
    ]


def test_no_vector_is_forgotten():
    assert len(VECTORS) == 193
    assert len(VERIFIED) == 185
    assert len(one_of_each_scheme()) == 63


@pytest.mark.parametrize("vector", identified(VERIFIED))
def test_the_password_verifies(vector: Vector):
    verdict = passwords.judge(vector.spelled)
    assert verdict.code == verdict.detail == ""
    assert verdict.scheme not in {"", "none"}
    assert passwords.verify_password(vector.password, verdict.stored)
    assert passwords.needs_rehash(verdict.stored) or verdict.scheme == "argon2id"


@pytest.mark.parametrize("vector", identified(one_of_each_scheme()))
def test_another_password_does_not_verify(vector: Vector):
    stored = passwords.judge(vector.spelled).stored
    assert not passwords.verify_password(f"{vector.password}x", stored)


@pytest.mark.parametrize("vector", identified(one_of_each_scheme()))
def test_the_stored_form_is_stable_and_verifies_as_it_came(vector: Vector):
    """A caller that stores the product's spelling instead of the stored form loses nothing."""
    verdict = passwords.judge(vector.spelled)
    assert passwords.judge(verdict.stored) == verdict
    if vector.spelled != verdict.stored:
        assert passwords.verify_password(vector.password, vector.spelled)


@pytest.mark.parametrize("scheme", sorted(REFUSED))
def test_refused_vectors_are_named(scheme: str):
    [vector] = [vector for vector in VECTORS if vector.scheme == scheme]
    verdict = passwords.judge(vector.spelled)
    assert (verdict.code, verdict.stored) == ("refused_hash", "")
    assert not passwords.verify_password(vector.password, vector.encoded)
