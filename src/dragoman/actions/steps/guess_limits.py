"""How often somebody may guess: limits on failures, per account and per address."""

from __future__ import annotations

from dragoman.actions.directory import Directory
from dragoman.rules import crypto
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Limited
from dragoman.rules.fields import canonical
from dragoman.rules.model import HOUR, MINUTE, SECOND, User
from dragoman.store import audit, sign_in_failures
from dragoman.store.transaction import LOCK_GUESSES, Lock, Read, Tx

PER_ADDRESS = 10
"""Failures in a minute on one account from one address."""
PER_ACCOUNT = 100
"""Failures in an hour on one account; then only addresses that it has signed in from."""


def account_of(directory: Directory, name: str, user: User | None) -> str:
    """Return what an account's failures are counted under: all its names are one."""
    if user is not None:
        return f"user:{user.id}"
    return "name:" + crypto.derive(directory.key, "account", canonical(name.strip()))


async def count(tx: Tx, account: str, address: str, window: int) -> int:
    """Count one more; return how many there were before, in this window (microseconds).

    Counted first and read after: the others wait for the row, so none goes by unseen.
    """
    await sign_in_failures.add(tx, account, address, window)
    (_, number), _ = await sign_in_failures.find(tx, account, address)
    return number - 1


class Guess:
    """One attempt on one account from one address.

    The verdict is told only if, in the order of the database, fewer failures than the limit were
    recorded before it: so parallel guesses gain nothing.
    """

    def __init__(self, directory: Directory, actor: Actor, name: str, user: User | None) -> None:
        self._user = user
        self._account = account_of(directory, name, user)
        self._address = crypto.derive(directory.key, "address", actor.address)

    @property
    def lock(self) -> Lock:
        """What a transaction has to hold that gives a verdict: one after the other on an account."""
        return LOCK_GUESSES, int.from_bytes(crypto.digest(self._account)[:4], "big")

    async def must_be_open(self, at: Read | Tx) -> None:
        """Raise Limited if there were too many failures.

        A transaction that is to give a verdict holds ``lock`` when it asks.
        """
        here, everywhere = await sign_in_failures.find(at, self._account, self._address)
        since, number = here
        if number >= PER_ADDRESS and since + MINUTE > at.now:
            raise Limited(_seconds(since + MINUTE - at.now))
        since, number = everywhere
        if number >= PER_ACCOUNT and since + HOUR > at.now:
            known = self._user and await sign_in_failures.is_known(at, self._user.id, self._address)
            if not known:
                raise Limited(_seconds(since + HOUR - at.now))

    async def failed(self, tx: Tx) -> None:
        """Count it."""
        await sign_in_failures.add(tx, self._account, self._address, MINUTE)
        await sign_in_failures.add(tx, self._account, "", HOUR)
        user = self._user
        audit.write(
            tx,
            "sign_in_failed",
            target_id=user.id if user else 0,
            tenant_id=user.tenant_id if user else None,
        )

    def succeeded(self, tx: Tx) -> None:
        """Remember the address: it may try even while others are guessing."""
        if self._user is not None:
            sign_in_failures.remember(tx, self._user.id, self._address)


def _seconds(microseconds: int) -> int:
    return max(1, -(-microseconds // SECOND))
