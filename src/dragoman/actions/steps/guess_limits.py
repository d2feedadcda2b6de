"""Limits on failed sign-ins and on mails, per account and per client address."""

from __future__ import annotations

import msgspec

from dragoman.actions.directory import Directory
from dragoman.rules import crypto
from dragoman.rules.actor import Actor
from dragoman.rules.client_addresses import client_network
from dragoman.rules.errors import RateLimited
from dragoman.rules.fields import canonical
from dragoman.rules.model import HOUR, MINUTE, SECOND, User
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, sign_in_failures
from dragoman.store.transaction import LOCK_SIGN_IN_ATTEMPTS, AdvisoryLock, Read, Tx

MAX_FAILURES_PER_ADDRESS = 10
"""Maximum failures per minute on one account from one address."""
MAX_FAILURES_PER_ACCOUNT = 100
"""Maximum failures per hour on one account; beyond it, only its known addresses may sign in."""


def account_key(directory: Directory, login_name: str, user: User | None) -> str:
    """Return the key of an account's counters; all login names of a user share one."""
    if user is not None:
        return _user_key(user)
    return "name:" + crypto.derive(directory.server_key, "account", canonical(login_name.strip()))


def _user_key(user: User) -> str:
    return f"user:{user.id}"


async def increment(tx: Tx, account: str, address: str, window: int) -> int:
    """Add one to a counter, and return its value before, within the current window.

    The counter is incremented before it is read: concurrent transactions wait for the row, so
    each sees all those before it.

    Args:
        tx: the transaction.
        account: the key of the account.
        address: the key of the client address; empty for all addresses together.
        window: the length of the window in microseconds.
    """
    await sign_in_failures.record_failure(tx, account, address, window)
    (_, failure_count), _ = await sign_in_failures.failure_counts(tx, account, address)
    return failure_count - 1


class Lockout(msgspec.Struct, frozen=True):
    """A window in which an account refuses sign-ins, because too many have failed.

    Attributes:
        every_address: whether all client addresses are refused but those that the account was
            used from; otherwise one address is.
        since: when the window began (microseconds).
        until: when it ends (microseconds).
    """

    every_address: bool
    since: int
    until: int


async def lockouts(reader: Read | Tx, user: User) -> list[Lockout]:
    """Return the windows in which a user's account refuses sign-ins now."""
    found: list[Lockout] = []
    for address, since, count in await sign_in_failures.list_counts(reader, _user_key(user)):
        window, limit = (
            (MINUTE, MAX_FAILURES_PER_ADDRESS) if address else (HOUR, MAX_FAILURES_PER_ACCOUNT)
        )
        if count >= limit and since + window > reader.now:
            found.append(Lockout(not address, since, since + window))
    return found


async def unlock(tx: Tx, user: User) -> bool:
    """Forget the failed sign-ins on a user's account; return whether there were any."""
    return await sign_in_failures.remove(tx, _user_key(user)) > 0


async def count_unread(tx: Tx, account: str, purpose: str) -> None:
    """Write a counter that nobody reads, as a stand-in for a row that is written elsewhere."""
    await sign_in_failures.record_failure(tx, f"{account}:{purpose}", "", HOUR)


async def remove_unread(tx: Tx, account: str, purpose: str) -> None:
    """Delete a counter of ``count_unread``, as a stand-in for a row that is deleted elsewhere."""
    await sign_in_failures.remove(tx, f"{account}:{purpose}")


def retry_after_s(microseconds: int) -> int:
    """Return a duration as whole seconds for Retry-After: rounded up, at least 1."""
    return max(1, -(-microseconds // SECOND))


class SignInAttempt:
    """One sign-in attempt on one account from one address.

    Attempts on an account are decided one after the other, under ``lock``. An attempt is decided
    only if the failures before it are below the limits, so parallel guesses gain nothing.

    Args:
        directory: the application's shared state.
        actor: the caller, with its client address.
        login_name: the username or e-mail address as entered.
        user: the user with this login name, if there is one.
    """

    def __init__(
        self, directory: Directory, actor: Actor, login_name: str, user: User | None
    ) -> None:
        self._user = user
        self._account_key = account_key(directory, login_name, user)
        self._address_key = crypto.derive(
            directory.server_key, "address", client_network(actor.address)
        )

    @property
    def lock(self) -> AdvisoryLock:
        """The account's lock; a transaction that decides an attempt must hold it."""
        return LOCK_SIGN_IN_ATTEMPTS, int.from_bytes(crypto.digest(self._account_key)[:4], "big")

    async def ensure_allowed(self, reader: Read | Tx) -> None:
        """Raise RateLimited if there were too many failures.

        Only the result of a transaction that holds ``lock`` is final.
        """
        address_failures, account_failures = await sign_in_failures.failure_counts(
            reader, self._account_key, self._address_key
        )
        window_start, failure_count = address_failures
        if failure_count >= MAX_FAILURES_PER_ADDRESS and window_start + MINUTE > reader.now:
            raise RateLimited(retry_after_s(window_start + MINUTE - reader.now))
        window_start, failure_count = account_failures
        if failure_count >= MAX_FAILURES_PER_ACCOUNT and window_start + HOUR > reader.now:
            is_known_address = self._user and await sign_in_failures.is_known_address(
                reader, self._user.id, self._address_key
            )
            if not is_known_address:
                raise RateLimited(retry_after_s(window_start + HOUR - reader.now))

    async def record_failure(self, tx: Tx) -> None:
        """Count a failure for the address and for the account, and in the history."""
        await sign_in_failures.record_failure(tx, self._account_key, self._address_key, MINUTE)
        await sign_in_failures.record_failure(tx, self._account_key, "", HOUR)
        user = self._user
        await audit.count_daily(
            tx,
            AuditAction.SIGN_IN_FAILED,
            target_id=user.id if user else 0,
            tenant_id=user.tenant_id if user else None,
        )

    def record_success(self, tx: Tx) -> None:
        """Remember the address: it may sign in even while others guess the password."""
        if self._user is not None:
            sign_in_failures.remember_address(tx, self._user.id, self._address_key)
