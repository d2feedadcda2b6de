"""The navigation: which entries there are, and who sees them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dragoman.rules import policy
from dragoman.rules.actor import Actor
from dragoman.rules.vocabulary import Action, Reach


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the navigation.

    Attributes:
        title: its word.
        path: its path below ``/console``.
        group: entries of the same group are together.
        allowed: returns whether an actor sees it: whether the screen would not refuse it.
    """

    title: str
    path: str
    group: int
    allowed: Callable[[Actor], bool]


def may(action: Action, reach: Reach = Reach.TENANT) -> Callable[[Actor], bool]:
    """Return a function that returns whether an actor has at least this reach of an action."""
    return lambda actor: policy.granted_reach(actor, action) >= reach


def everybody(_: Actor) -> bool:
    """Return True."""
    return True


ENTRIES: tuple[Entry, ...] = (
    Entry(title="Overview", path="/", group=1, allowed=may(Action.LIST_USERS)),
    Entry(title="People", path="/people", group=1, allowed=may(Action.LIST_USERS)),
    Entry(title="Invitations", path="/invitations", group=1, allowed=may(Action.INVITE)),
    Entry(title="Tenants", path="/tenants", group=1, allowed=may(Action.LIST_TENANTS)),
    Entry(title="Groups", path="/groups", group=1, allowed=may(Action.ASSIGN_PERMISSION)),
    Entry(title="History", path="/history", group=3, allowed=may(Action.VIEW_HISTORY, Reach.SELF)),
)


def groups_for(actor: Actor) -> list[list[Entry]]:
    """Return the entries that an actor sees, by group."""
    visible = [entry for entry in ENTRIES if entry.allowed(actor)]
    numbers = sorted({entry.group for entry in visible})
    return [[entry for entry in visible if entry.group == number] for number in numbers]


def home_of(actor: Actor) -> str:
    """Return the path of the first page that an actor sees: everybody has an account."""
    visible = (entry.path for entry in ENTRIES if entry.allowed(actor))
    return next(visible, "/account")
