"""Users as they are seen: in pages, one by one, or all in a row."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any

from dragoman.rules import policy
from dragoman.rules.errors import Invalid, NotFound, Problem
from dragoman.rules.fields import canonical
from dragoman.rules.model import Filter, Order, Page, User
from dragoman.rules.vocabulary import Action, Reach
from dragoman.store import tenants, users
from dragoman.store.transaction import Read, Tx
from dragoman.store.user_lists import filters, pages

STRIDE = 1000
"""How many users are fetched at a time where all of them are wanted."""


async def page(
    read: Read,
    wanted: Filter,
    orders: tuple[Order, ...],
    *,
    limit: int,
    offset: int = 0,
    after: tuple[Any, int] | None = None,
    problems: Iterable[Problem] = (),
) -> Page[User]:
    """Return users that the actor may list (see ``store.pages.page``).

    Raises Forbidden; Invalid for what the dialect found wrong with the filters, and for a
    tenant that does not exist (told only to those who see every tenant).
    """
    reach = policy.allow(read.actor, Action.LIST_USERS)
    faults = list(problems)
    if (
        reach is Reach.ANY
        and wanted.tenant_id is not None
        and await tenants.find(read, wanted.tenant_id) is None
    ):
        faults.append(Problem("tenant", "unknown", wanted.tenant_id))
    if faults:
        raise Invalid(*faults)
    scope = filters.scope_of(read.actor, reach)
    return await pages.page(read, scope, wanted, orders, limit=limit, offset=offset, after=after)


async def view(read: Read, user_id: int) -> User:
    """Return one user; raises Forbidden, or NotFound for whatever is out of reach."""
    reach = policy.allow(read.actor, Action.VIEW_USER, user_id)
    user = await users.find(read, user_id)
    if user is None or not policy.covers(read.actor, reach, user):
        raise NotFound
    return user


async def find(at: Read | Tx, *, public_id: str = "", username: str = "", email: str = "") -> User:
    """Return the user of a public id, else of a username or of an e-mail address.

    Raises Forbidden, or NotFound for whatever is out of reach.
    """
    policy.allow(at.actor, Action.VIEW_USER)
    user = None
    if public_id and public_id.isascii() and public_id.isalnum():
        user = await users.find_by_public_id(at, public_id)
    if user is None and (name := username or email):
        user = await users.find_by_name(at, name)
        held = "" if user is None else user.username if username else user.email
        user = user if canonical(held) == canonical(name.strip()) else None
    if user is None:
        raise NotFound
    policy.require(at.actor, Action.VIEW_USER, user)
    return user


async def walk(read: Read) -> AsyncGenerator[list[User]]:
    """Give every user that the actor may list, by id, some at a time; raises Forbidden."""
    scope = filters.scope_of(read.actor, policy.allow(read.actor, Action.LIST_USERS))
    after: tuple[Any, int] | None = None
    while True:
        found = await pages.page(read, scope, Filter(), (Order("id"),), limit=STRIDE, after=after)
        yield found.rows
        after = found.after
        if len(found.rows) < STRIDE:
            return
