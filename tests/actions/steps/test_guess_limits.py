"""The limits on guesses apply to the current password, whatever else is wrong."""

from __future__ import annotations

import pytest

from dragoman import app
from dragoman.actions import sign_in, tokens
from dragoman.actions.system import system_actor
from dragoman.actions.tokens import PresentedCredential
from dragoman.rules import crypto
from dragoman.rules.credentials import CredentialFormat
from dragoman.rules.errors import Invalid, Problem, RateLimited
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import UNRESTRICTED
from tests.support.databases import settings_for
from tests.support.world import PASSWORD, World

pytestmark = pytest.mark.anyio

CREDENTIAL_FORMAT = CredentialFormat(contract="tests", generate=crypto.generate_hex)


async def test_after_ten_wrong_ones_the_right_one_is_not_told_apart(
    seeded_database: tuple[str, World],
) -> None:
    database, world = seeded_database
    async with app.open_directory(settings_for(database)) as directory:
        async with directory.begin(system_actor("tests")) as tx:
            secret = (
                await tokens.issue(tx, directory, world.people["mia"].id, CREDENTIAL_FORMAT)
            ).secret
        presented = PresentedCredential(
            credential_format=CREDENTIAL_FORMAT,
            secret=secret,
            restrictions=UNRESTRICTED,
            request_id="",
            address="x",
        )
        actor = (await tokens.authenticate(directory, presented)).actor

        async def guess(current: str) -> list[str]:
            mismatch = [Problem("password2", "mismatch")]
            with pytest.raises(Invalid) as refused:
                await sign_in.change_password(
                    directory, actor, current, "", PasswordRules(), problems=mismatch
                )
            return [problem.field for problem in refused.value.problems]

        assert await guess(PASSWORD) == ["password2"]
        for number in range(10):
            assert await guess(f"wrong {number}") == ["password2", "current"]
        for current in (PASSWORD, "wrong"):
            with pytest.raises(RateLimited):
                await sign_in.change_password(
                    directory,
                    actor,
                    current,
                    "",
                    PasswordRules(),
                    problems=[Problem("x", "mismatch")],
                )
