"""How often somebody may guess: limits on failures, per account and per address."""

from __future__ import annotations

from dragoman.actions.directory import Directory
from dragoman.rules import crypto
from dragoman.rules.actor import Actor
from dragoman.rules.errors import RateLimited
from dragoman.rules.fields import canonical
from dragoman.rules.model import HOUR, MINUTE, SECOND, User
from dragoman.store import audit, sign_in_failures
from dragoman.store.transaction import LOCK_SIGN_IN_ATTEMPTS, AdvisoryLock, Read, Tx

MAX_FAILURES_PER_ADDRESS = 10
"""Failures in a minute on one account from one address."""
MAX_FAILURES_PER_ACCOUNT = 100
"""Failures in an hour on one account; then only addresses that it has signed in from."""


def account_key(directory: Directory, login_name: str, user: User | None) -> str:
    """Return what an account's failures are counted under: all its names are one."""
    if user is not None:
        return f"user:{user.id}"
    return "name:" + crypto.derive(directory.server_key, "account", canonical(login_name.strip()))


async def increment(tx: Tx, account: str, address: str, window: int) -> int:
    """Count one more; return how many there were before, in this window (microseconds).

    Counted first and read after: the others wait for the row, so none goes by unseen.
    """
    await sign_in_failures.record_failure(tx, account, address, window)
    (_, failure_count), _ = await sign_in_failures.failure_counts(tx, account, address)
    return failure_count - 1


class SignInAttempt:
    """One attempt on one account from one address.

    The verdict is told only if, in the order of the database, fewer failures than the limit were
    recorded before it: so parallel guesses gain nothing.
    """

    def __init__(
        self, directory: Directory, actor: Actor, login_name: str, user: User | None
    ) -> None:
        self._user = user
        self._account_key = account_key(directory, login_name, user)
        self._address_key = crypto.derive(directory.server_key, "address", actor.address)

    @property
    def lock(self) -> AdvisoryLock:
        """What a transaction has to hold that gives a verdict: one after the other on an account."""
        return LOCK_SIGN_IN_ATTEMPTS, int.from_bytes(crypto.digest(self._account_key)[:4], "big")

    async def ensure_allowed(self, reader: Read | Tx) -> None:
        """Raise Limited if there were too many failures.

        A transaction that is to give a verdict holds ``lock`` when it asks.
        """
        address_failures, account_failures = await sign_in_failures.failure_counts(
            reader, self._account_key, self._address_key
        )
        window_start, failure_count = address_failures
        if failure_count >= MAX_FAILURES_PER_ADDRESS and window_start + MINUTE > reader.now:
            raise RateLimited(_retry_after_s(window_start + MINUTE - reader.now))
        window_start, failure_count = account_failures
        if failure_count >= MAX_FAILURES_PER_ACCOUNT and window_start + HOUR > reader.now:
            is_known_address = self._user and await sign_in_failures.is_known_address(
                reader, self._user.id, self._address_key
            )
            if not is_known_address:
                raise RateLimited(_retry_after_s(window_start + HOUR - reader.now))

    async def record_failure(self, tx: Tx) -> None:
        """Count it."""
        await sign_in_failures.record_failure(tx, self._account_key, self._address_key, MINUTE)
        await sign_in_failures.record_failure(tx, self._account_key, "", HOUR)
        user = self._user
        audit.write(
            tx,
            "sign_in_failed",
            target_id=user.id if user else 0,
            tenant_id=user.tenant_id if user else None,
        )

    def record_success(self, tx: Tx) -> None:
        """Remember the address: it may try even while others are guessing."""
        if self._user is not None:
            sign_in_failures.remember_address(tx, self._user.id, self._address_key)


def _retry_after_s(microseconds: int) -> int:
    return max(1, -(-microseconds // SECOND))
