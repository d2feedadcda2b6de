"""What the writers of a storm were promised: who must be how, and which requests are in doubt."""

from __future__ import annotations

import random
import threading
from collections import Counter

import msgspec

from dragoman.rules.model import Role

ROLES = {"subscriber": Role.MEMBER, "tenant_owner": Role.OWNER}


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one user that the writers change."""

    username: str
    email: str
    password: str
    location: str = ""
    first_name: str = ""
    last_name: str = ""
    role: str = "subscriber"
    active: bool = True
    epoch: int = 0
    alive: bool = True


class Attempt(msgspec.Struct, frozen=True):
    """One request that changes something; ``action`` is the history's word for it."""

    request_id: str
    action: str
    before: State | None
    after: State


class Account(msgspec.Struct):
    """What the journal knows of a user. ``open`` is a request whose fate is not known."""

    state: State | None = None
    id: int = 0
    public_id: str = ""
    pending: Attempt | None = None
    tokens: list[tuple[str, str, int, float]] = []
    """Contracts and keys that were handed out, with the epoch and the time of that moment."""
    made_by: str = ""
    """The request that made it."""
    excluded: bool = False
    """No writer changes it."""
    signed_up: bool = False
    """It signed up, and nobody has approved it: closed contracts do not know it."""


MAILS = 5
"""How many mails an address gets in an hour: what asks for one more is answered, and not done."""


class Journal:
    """What was promised, over all storms on one database."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.accounts: list[Account] = []
        self.acknowledged: dict[str, tuple[str, int]] = {}
        """By request: the history's action and target, 0 where the answer did not tell it."""
        self.refused: set[str] = set()
        self.in_doubt: set[str] = set()
        """Requests about no account, without an answer."""
        self.statuses: Counter[int] = Counter()
        self.done: Counter[str] = Counter()
        """By contract and verb, what was acknowledged."""
        self.unexpected_answers: list[str] = []
        self._mails: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._number = 0

    def reserve_mail(self, address: str) -> bool:
        """Say whether one more mail may be asked for, and count it."""
        with self._lock:
            self._mails[address] += 1
            return self._mails[address] <= MAILS

    def number(self) -> int:
        """Return a number that was not given before."""
        with self._lock:
            self._number += 1
            return self._number
