"""The history for people: who did what to whom, in words."""

from __future__ import annotations

import msgspec

from dragoman.rules import policy
from dragoman.rules.errors import NotFound
from dragoman.rules.model import AuditEntry, HistoryFilter
from dragoman.rules.vocabulary import ACTIONS_OF_THE_TARGET, Action, Reach
from dragoman.store import history
from dragoman.store.history import NamedEntry
from dragoman.store.transaction import Read

_TARGET_ACTIONS = frozenset(action.value for action in ACTIONS_OF_THE_TARGET)


class HistoryEntry(msgspec.Struct, frozen=True):
    """An entry of the history, with its actor and its target in words.

    Attributes:
        position: where the entry is in the history; ``find`` goes on after it.
        actor: who acted: a username, the name of a job, or an anonymous visitor.
        target: to whom or what it was done; empty if there is nothing to name.
        tenant: the slug of the target's tenant; None without a tenant.
    """

    position: NamedEntry
    actor: str
    target: str
    tenant: str | None

    @property
    def entry(self) -> AuditEntry:
        """The entry as it is stored."""
        return self.position.entry


async def find(
    read: Read, conditions: HistoryFilter, *, limit: int, after: HistoryEntry | None = None
) -> list[HistoryEntry]:
    """Return the newest entries that the actor may view, newest first.

    Args:
        read: the reader; an owner views its tenant's history, a member what it did itself.
        conditions: which entries are meant.
        limit: the maximum number of entries.
        after: the last entry of the previous page.

    Raises:
        Forbidden: the actor may not view any history.
        NotFound: the conditions name another tenant or user than the actor may view.
    """
    reach = policy.require_reach(read.actor, Action.VIEW_HISTORY)
    rows = await history.page(
        read,
        _within(read, reach, conditions),
        limit=limit,
        before=after.position if after else None,
    )
    return [in_words(row) for row in rows]


def _within(read: Read, reach: Reach, conditions: HistoryFilter) -> HistoryFilter:
    """Return the conditions, narrowed to what the actor may view."""
    actor = read.actor
    if reach is Reach.ANY:
        return conditions
    if reach is Reach.TENANT:
        if actor.tenant_id is None or conditions.tenant_id not in {None, actor.tenant_id}:
            raise NotFound
        return msgspec.structs.replace(conditions, tenant_id=actor.tenant_id)
    if conditions.actor_id not in {None, actor.user_id}:
        raise NotFound
    return msgspec.structs.replace(conditions, actor_id=actor.user_id)


def in_words(row: NamedEntry) -> HistoryEntry:
    """Return an entry with its actor and its target in words."""
    entry = row.entry
    target = _name(row.target_name, entry.target_kind, entry.target_id)
    return HistoryEntry(row, _actor(row, target), target, row.tenant_slug)


def _actor(row: NamedEntry, target: str) -> str:
    """Return who acted. A visitor is who a sign-in, or a mailed link, has proven it to be."""
    entry = row.entry
    if entry.actor_kind == "user":
        return _name(row.actor_name, "user", entry.actor_id)
    if entry.actor_kind == "visitor":
        return target if entry.action in _TARGET_ACTIONS and target else "an anonymous visitor"
    return entry.actor_name or entry.actor_kind


def _name(name: str | None, kind: str, row_id: int) -> str:
    """Return the name of a row; one that is erased, or gone, is named by its id."""
    if not row_id:
        return ""
    return name or f"{kind.replace('_', ' ')} {row_id}"
