"""Reading users: in pages, one by one, or all of them in batches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

import msgspec

from dragoman.actions.directory import Directory
from dragoman.rules import policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Invalid, NotFound, Problem
from dragoman.rules.fields import canonical
from dragoman.rules.model import Filter, Order, Page, User
from dragoman.rules.vocabulary import Action, Reach
from dragoman.store import tenants, users
from dragoman.store.transaction import Read, Tx
from dragoman.store.user_lists import filters, pages

BATCH_SIZE = 1000
"""Number of users per batch of ``iterate``."""


async def list_page(
    directory: Directory,
    read: Read,
    user_filter: Filter,
    orders: tuple[Order, ...],
    *,
    limit: int,
    offset: int = 0,
    after: tuple[Any, int] | None = None,
    problems: Iterable[Problem] = (),
) -> Page[User]:
    """Return a page of the users that the actor may list (see ``store.user_lists.pages``).

    Args:
        directory: the application's shared state, with the page cache.
        read: a reader that acts for the caller.
        user_filter: the conditions that users must meet.
        orders: the columns to sort by.
        limit: the maximum number of users.
        offset: the number of users to skip.
        after: the position after which the page begins: sort value and id of the last user
            before it.
        problems: what the dialect found wrong with the filters.

    Raises:
        Forbidden: the actor may not list users.
        Invalid: the dialect's problems; an unknown tenant, for actors that see all tenants.
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
    page = await pages.page(
        read,
        directory.page_cache,
        scope,
        user_filter,
        orders,
        limit=limit,
        offset=offset,
        cursor=after,
    )
    if policy.may_view_all_emails(read.actor):
        return page
    return msgspec.structs.replace(page, rows=[shown_to(read.actor, user) for user in page.rows])


def shown_to(actor: Actor, user: User) -> User:
    """Return a user as the actor may see it: without an e-mail address that it may not see."""
    if policy.may_view_email(actor, user):
        return user
    return msgspec.structs.replace(user, email="")


async def get(read: Read, user_id: int) -> User:
    """Return one user; raises Forbidden, or NotFound if it is out of reach."""
    reach = policy.require_reach(read.actor, Action.VIEW_USER, user_id)
    user = await users.find(read, user_id)
    if user is None or not policy.includes(read.actor, reach, user):
        raise NotFound
    return shown_to(read.actor, user)


async def find(
    reader: Read | Tx, *, public_id: str = "", username: str = "", email: str = ""
) -> User:
    """Return the user with this public id, else with this username or e-mail address.

    Args:
        reader: a reader or transaction that acts for the caller.
        public_id: the public id; an unknown one is ignored if another argument is given.
        username: the username; takes precedence over ``email``.
        email: the e-mail address.

    Raises:
        Forbidden: the actor may not view users.
        NotFound: there is no such user, or it is out of reach.
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
    return shown_to(reader.actor, user)


async def without_unchanged(
    read: Read, user_id: int, texts: Mapping[str, str], problems: list[Problem]
) -> list[Problem]:
    """Return the problems of a request without those of texts that are the user's current ones.

    Contracts differ in what they accept, and clients send back what they have read.

    Args:
        read: a reader that acts for the caller.
        user_id: the user to be updated.
        texts: the texts of the request by field name; an unchanged one with a problem must not be
            among the values that the dialect passes on.
        problems: what the dialect found wrong with the request.
    """
    if not any(problem.field in texts for problem in problems):
        return problems
    try:
        user = await get(read, user_id)
    except (Forbidden, NotFound):  # the action that follows raises it again
        return problems
    unchanged = {name for name, text in texts.items() if text == getattr(user, name, None)}
    return [problem for problem in problems if problem.field not in unchanged]


async def iterate(directory: Directory, read: Read) -> AsyncGenerator[list[User]]:
    """Yield all users that the actor may list in batches, ordered by id; raises Forbidden."""
    scope = filters.scope_for(read.actor, policy.require_reach(read.actor, Action.LIST_USERS))
    after: tuple[Any, int] | None = None
    while True:
        batch = await pages.page(
            read,
            directory.page_cache,
            scope,
            Filter(),
            (Order("id"),),
            limit=BATCH_SIZE,
            cursor=after,
        )
        yield [shown_to(read.actor, user) for user in batch.rows]
        after = batch.after
        if len(batch.rows) < BATCH_SIZE:
            return
