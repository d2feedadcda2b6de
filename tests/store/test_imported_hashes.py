"""Users counted by the scheme of their hash."""

from __future__ import annotations

from collections import Counter

import pytest

from dragoman.actions.directory import Directory
from dragoman.rules import passwords
from dragoman.rules.imported_hashes.prefixes import FLAGS, SCHEMES_BY_PREFIX
from dragoman.store import imported_hashes, users
from tests.support.hash_vectors import VERIFIED
from tests.support.people import SYSTEM_ACTOR, UserRow, insert_users, transaction

pytestmark = pytest.mark.anyio


async def test_every_scheme_is_counted_under_the_name_of_the_import(directory: Directory):
    """The prefixes in SQL and the verdict of an import name each hash alike."""
    verdicts = [passwords.judge(vector.spelled) for vector in VERIFIED]
    weak = next(verdict.stored for verdict in verdicts if verdict.scheme == "ssha256")
    verdicts.append(passwords.judge(passwords.wrap(weak)))
    as_they_came = [vector.spelled for vector in VERIFIED if vector.scheme.startswith("django")]
    verdicts += [passwords.judge(encoded) for encoded in as_they_came]
    stored = [verdict.stored for verdict in verdicts[: -len(as_they_came)]] + as_they_came
    before = await imported_hashes.count_by_scheme(directory.read(SYSTEM_ACTOR))
    async with transaction(directory) as tx:
        ids = await insert_users(tx, [UserRow(username=f"user{n}") for n in range(len(stored) + 3)])
        for user_id, encoded in zip(ids, [*stored, "???"], strict=False):
            await users.set_password_hash(tx, user_id, encoded)
        await users.remove(tx, await users.get(tx, ids[0]), erase=False)
    after = await imported_hashes.count_by_scheme(directory.read(SYSTEM_ACTOR))
    expected = Counter([verdict.scheme for verdict in verdicts[1:]] + ["none", "none", "other"])
    assert Counter(after) - Counter(before) == expected


def test_no_prefix_hides_another():
    prefixes = list(SCHEMES_BY_PREFIX)
    for index, prefix in enumerate(prefixes):
        assert not any(prefix.startswith(earlier) for earlier in prefixes[:index])
    assert len({len(flag) for flag in FLAGS}) == 1
