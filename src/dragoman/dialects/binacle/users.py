"""Binacle's users: create, update type and status, set the password, delete."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import user_lists, users
from dragoman.dialects.binacle.schemas import (
    PASSWORD_RULES,
    ROLE_NAMES,
    ROLES_SHOWN_AS,
    parse_email,
    parse_fields,
    parse_password,
    parse_role_and_status,
)
from dragoman.rules import policy
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.fields import UsernameCharset, email_problems, trim
from dragoman.rules.model import NewUser, Role
from dragoman.rules.passwords import PasswordRules, effective_rules
from dragoman.rules.vocabulary import Action
from dragoman.web.calls import Call

# Each handler checks the policy first, so that a caller without the right gets 403 whatever the
# request contains.


async def create(call: Call) -> Response:
    """POST /api/users: create an active user of type User; its username is the e-mail address."""
    policy.require_reach(call.actor, Action.CREATE_USER)
    form_fields = await parse_fields(call.request)
    email, problems = parse_email(form_fields)
    password, password_problems = parse_password(
        call, form_fields, _effective_rules(call), "password"
    )
    await users.create(
        call.directory,
        call.actor,
        NewUser(username=email, email=email),
        password,
        PASSWORD_RULES,
        charset=UsernameCharset.PERMISSIVE,
        problems=problems + password_problems,
    )
    return Response(None, 201)


async def update(call: Call) -> Response:
    """PUT /api/users/{email}: change the type, the status or both."""
    policy.require_reach(call.actor, Action.ASSIGN_ROLE)
    form_fields = await parse_fields(call.request)
    email, problems = _email_from_path(call)
    role, active, choice_problems = parse_role_and_status(form_fields)
    if problems := problems + choice_problems:
        raise Invalid(*problems)
    same_role_names = ROLES_SHOWN_AS[ROLE_NAMES[role]] if role is not None else frozenset[Role]()
    async with call.begin() as tx:
        user = await user_lists.find(tx, email=email)
        await users.update_with_role(
            tx, user.id, role=role, active=active, same_role_names=same_role_names
        )
    return Response(None, 204)


async def set_password(call: Call) -> Response:
    """PATCH /api/users/{email}: set ``newPassword``, or ``password`` as in Binacle's releases."""
    policy.require_reach(call.actor, Action.SET_PASSWORD)
    form_fields = await parse_fields(call.request)
    email, problems = _email_from_path(call)
    password, password_problems = parse_password(
        call, form_fields, _effective_rules(call), "newpassword", "password"
    )
    problems += password_problems
    if password:
        password_owner = NewUser(username=email, email=email)
        problems += users.password_problems(
            call.directory, password, PASSWORD_RULES, password_owner
        )
    if problems:
        raise Invalid(*problems)
    user = await user_lists.find(call.read(), email=email)
    await users.set_password(
        call.directory, call.actor, user.id, password, PASSWORD_RULES, reject_unchanged=True
    )
    return Response(None, 204)


async def delete(call: Call) -> Response:
    """DELETE /api/users/{email}: delete the user; its row is kept and its address is released."""
    policy.require_reach(call.actor, Action.DELETE_USER)
    email, problems = _email_from_path(call)
    if problems:
        raise Invalid(*problems)
    async with call.begin() as tx:
        user = await user_lists.find(tx, email=email)
        await users.delete(tx, user.id, erase=False)
    return Response(None, 204)


def _email_from_path(call: Call) -> tuple[str, list[Problem]]:
    """Return the path's e-mail address and its problems."""
    email = trim(call.path_params["email"])
    return email, email_problems(email) if email else [Problem("email", "blank")]


def _effective_rules(call: Call) -> PasswordRules:
    return effective_rules(call.directory.settings.password_policy, PASSWORD_RULES)
