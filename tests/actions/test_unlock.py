"""Lock-outs end: by a reset through the mailbox, or by an administrator."""

from __future__ import annotations

import pytest

from dragoman.actions import password_resets, sign_in, users
from dragoman.actions.directory import Directory
from dragoman.rules.errors import BadCredentials, Forbidden, RateLimited
from dragoman.rules.model import User
from dragoman.rules.passwords import PasswordRules
from tests.actions.test_strong_roles import reset_secret_of
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    actor_for,
    anonymous_actor,
    transaction,
)

pytestmark = pytest.mark.anyio

NEW_PASSWORD = "another-Kettle-42"


async def enter(directory: Directory, address: str, password: str = PASSWORD) -> None:
    await sign_in.sign_in(directory, anonymous_actor(address), "mia", password, CREDENTIAL_FORMAT)


async def lock(directory: Directory, block: str) -> None:
    """Guess a hundred times, from ten addresses of a block."""
    for number in range(100):
        with pytest.raises(BadCredentials):
            await enter(directory, f"{block}{number // 10}", "wrong")
    with pytest.raises(RateLimited):
        await enter(directory, "203.0.113.1")


async def test_a_completed_reset_ends_it(directory: Directory, mia: User):
    await lock(directory, "198.51.100.")
    await password_resets.request_reset(directory, anonymous_actor(), mia.email)
    secret = await reset_secret_of(directory, mia)
    at_home = anonymous_actor("203.0.113.1")
    await password_resets.reset_password(
        directory, at_home, mia.public_id, secret, NEW_PASSWORD, PasswordRules()
    )
    await enter(directory, "203.0.113.2", NEW_PASSWORD)  # nobody's failures count any more
    for number in range(99):
        with pytest.raises(BadCredentials):
            await enter(directory, f"198.51.100.{number // 10}", "wrong")
    with pytest.raises(BadCredentials):
        await enter(directory, "198.51.100.200", "wrong")
    with pytest.raises(RateLimited):
        await enter(directory, "203.0.113.3", NEW_PASSWORD)
    await enter(directory, "203.0.113.1", NEW_PASSWORD)  # where the reset was completed


async def test_an_administrator_ends_it(directory: Directory, mia: User):
    await lock(directory, "198.51.100.")
    member = await actor_for(directory, mia.id)
    async with directory.begin(member) as tx:
        with pytest.raises(Forbidden):
            await users.unlock(tx, mia.id)
    async with transaction(directory) as tx:
        await users.unlock(tx, mia.id)
    await enter(directory, "203.0.113.1")


async def test_a_network_of_ipv6_is_one_address(directory: Directory, mia: User):
    """The owner's next address of the same network is known; ten guesses from one network end."""
    await enter(directory, "2001:db8:1:1::1")
    for number in range(10):
        with pytest.raises(BadCredentials):
            await enter(directory, f"2001:db8:2:2::{number:x}", "wrong")
    with pytest.raises(RateLimited):
        await enter(directory, "2001:db8:2:2::ffff")
    await lock_more(directory)
    await enter(directory, "2001:db8:1:1:ffff::2")


async def lock_more(directory: Directory) -> None:
    for number in range(90):
        with pytest.raises(BadCredentials):
            await enter(directory, f"198.51.100.{number // 9}", "wrong")
    with pytest.raises(RateLimited):
        await enter(directory, "203.0.113.1")
