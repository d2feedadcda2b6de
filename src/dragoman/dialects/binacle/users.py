"""Binacle's users: create, change type and state, set a password, delete."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import user_lists, users
from dragoman.actions.steps import passwords
from dragoman.dialects.binacle.schemas import (
    FLOOR,
    READ_AS,
    changes_in,
    email_in,
    fields_of,
    password_in,
)
from dragoman.rules import policy
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.fields import Alphabet, email_problems, trim
from dragoman.rules.model import NewUser, Role
from dragoman.rules.passwords import Floor, floor_for
from dragoman.rules.vocabulary import Action
from dragoman.web.calls import Call

# Who is refused the function is told so before anything is said about the request: each
# handler asks the policy first.


async def create(call: Call) -> Response:
    """POST /api/users: a user of type User, active, whose username is the e-mail address."""
    policy.allow(call.actor, Action.CREATE_USER)
    given = await fields_of(call.request)
    problems: list[Problem] = []
    email = email_in(given, problems)
    password = password_in(call, given, problems, _floor(call), "password")
    await users.create(
        call.directory,
        call.actor,
        NewUser(username=email, email=email),
        password,
        FLOOR,
        alphabet=Alphabet.FREE,
        problems=problems,
    )
    return Response(None, 201)


async def update(call: Call) -> Response:
    """PUT /api/users/{email}: type, status, or both at once."""
    policy.allow(call.actor, Action.ASSIGN_ROLE)
    given = await fields_of(call.request)
    email, problems = _addressed(call)
    role, active = changes_in(given, problems)
    if problems:
        raise Invalid(*problems)
    alike = READ_AS[role] if role is not None else frozenset[Role]()
    async with call.begin() as tx:
        user = await user_lists.find(tx, email=email)
        await users.amend(tx, user.id, role=role, active=active, alike=alike)
    return Response(None, 204)


async def set_password(call: Call) -> Response:
    """PATCH /api/users/{email}: ``newPassword``, or ``password`` as the releases read it."""
    policy.allow(call.actor, Action.SET_PASSWORD)
    given = await fields_of(call.request)
    email, problems = _addressed(call)
    password = password_in(call, given, problems, _floor(call), "newpassword", "password")
    if password:
        person = NewUser(username=email, email=email)
        problems += passwords.faults_of(call.directory, password, FLOOR, person)
    if problems:
        raise Invalid(*problems)
    user = await user_lists.find(call.read(), email=email)
    await users.set_password(call.directory, call.actor, user.id, password, FLOOR, unlike=True)
    return Response(None, 204)


async def delete(call: Call) -> Response:
    """DELETE /api/users/{email}: invisible and unusable; the row stays, the address is free."""
    policy.allow(call.actor, Action.DELETE_USER)
    email, problems = _addressed(call)
    if problems:
        raise Invalid(*problems)
    async with call.begin() as tx:
        user = await user_lists.find(tx, email=email)
        await users.delete(tx, user.id, erase=False)
    return Response(None, 204)


def _addressed(call: Call) -> tuple[str, list[Problem]]:
    """Return the path's e-mail address, and what is wrong with it."""
    email = trim(call.params["email"])
    return email, email_problems(email) if email else [Problem("email", "blank")]


def _floor(call: Call) -> Floor:
    return floor_for(call.directory.settings.password_policy, FLOOR)
