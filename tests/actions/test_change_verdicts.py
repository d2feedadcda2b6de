"""Whether a current password is right is told within the limits, whatever else is wrong."""

from __future__ import annotations

import pytest

from dragoman import app
from dragoman.actions import sign_in, tokens
from dragoman.actions.system import system_actor
from dragoman.actions.tokens import Presented
from dragoman.rules import crypto
from dragoman.rules.credentials import Kind
from dragoman.rules.errors import Invalid, Limited, Problem
from dragoman.rules.passwords import Floor
from dragoman.rules.vocabulary import NOTHING_NARROWED
from tests.support.databases import settings_for
from tests.support.world import PASSWORD, World

pytestmark = pytest.mark.anyio

KIND = Kind(contract="tests", make=crypto.make_hex)


async def test_after_ten_wrong_ones_the_right_one_is_not_told_apart(
    inhabited: tuple[str, World],
) -> None:
    database, world = inhabited
    async with app.opened(settings_for(database)) as directory:
        async with directory.begin(system_actor("tests")) as tx:
            secret = (await tokens.issue(tx, directory, world.people["mia"].id, KIND)).secret
        presented = Presented(
            kind=KIND, secret=secret, narrowing=NOTHING_NARROWED, request_id="", address="x"
        )
        actor, _, _ = await tokens.authenticate(directory, presented)

        async def guess(current: str) -> list[str]:
            mismatch = [Problem("password2", "mismatch")]
            with pytest.raises(Invalid) as refused:
                await sign_in.change_password(
                    directory, actor, current, "", Floor(), problems=mismatch
                )
            return [problem.field for problem in refused.value.problems]

        assert await guess(PASSWORD) == ["password2"]
        for number in range(10):
            assert await guess(f"wrong {number}") == ["password2", "current"]
        for current in (PASSWORD, "wrong"):
            with pytest.raises(Limited):
                await sign_in.change_password(
                    directory, actor, current, "", Floor(), problems=[Problem("x", "mismatch")]
                )
