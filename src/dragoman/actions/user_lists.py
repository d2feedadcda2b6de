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

BATCH_SIZE = 1000
"""How many users are fetched at a time where all of them are wanted."""


async def list_page(
    read: Read,
    user_filter: Filter,
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
    reach = policy.require_reach(read.actor, Action.LIST_USERS)
    all_problems = list(problems)
    if (
        reach is Reach.ANY
        and user_filter.tenant_id is not None
        and await tenants.find(read, user_filter.tenant_id) is None
    ):
        all_problems.append(Problem("tenant", "unknown", user_filter.tenant_id))
    if all_problems:
        raise Invalid(*all_problems)
    scope = filters.scope_for(read.actor, reach)
    return await pages.page(
        read, scope, user_filter, orders, limit=limit, offset=offset, cursor=after
    )


async def get(read: Read, user_id: int) -> User:
    """Return one user; raises Forbidden, or NotFound for whatever is out of reach."""
    reach = policy.require_reach(read.actor, Action.VIEW_USER, user_id)
    user = await users.find(read, user_id)
    if user is None or not policy.includes(read.actor, reach, user):
        raise NotFound
    return user


async def find(
    reader: Read | Tx, *, public_id: str = "", username: str = "", email: str = ""
) -> User:
    """Return the user of a public id, else of a username or of an e-mail address.

    Raises Forbidden, or NotFound for whatever is out of reach.
    """
    policy.require_reach(reader.actor, Action.VIEW_USER)
    user = None
    if public_id and public_id.isascii() and public_id.isalnum():
        user = await users.find_by_public_id(reader, public_id)
    if user is None and (login_name := username or email):
        user = await users.find_by_login_name(reader, login_name)
        matched_name = "" if user is None else user.username if username else user.email
        user = user if canonical(matched_name) == canonical(login_name.strip()) else None
    if user is None:
        raise NotFound
    policy.require(reader.actor, Action.VIEW_USER, user)
    return user


async def iterate(read: Read) -> AsyncGenerator[list[User]]:
    """Give every user that the actor may list, by id, some at a time; raises Forbidden."""
    scope = filters.scope_for(read.actor, policy.require_reach(read.actor, Action.LIST_USERS))
    after: tuple[Any, int] | None = None
    while True:
        batch = await pages.page(
            read, scope, Filter(), (Order("id"),), limit=BATCH_SIZE, cursor=after
        )
        yield batch.rows
        after = batch.after
        if len(batch.rows) < BATCH_SIZE:
            return
