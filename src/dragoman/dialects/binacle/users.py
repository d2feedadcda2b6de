"""Binacle's users: create, change type and state, set a password, delete."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import user_lists, users
from dragoman.actions.steps import passwords
from dragoman.dialects.binacle.schemas import (
    PASSWORD_RULES,
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

# Who is refused the function is told so before anything is said about the request: each
# handler asks the policy first.


async def create(call: Call) -> Response:
    """POST /api/users: a user of type User, active, whose username is the e-mail address."""
    policy.require_reach(call.actor, Action.CREATE_USER)
    form_fields = await parse_fields(call.request)
    problems: list[Problem] = []
    email = parse_email(form_fields, problems)
    password = parse_password(call, form_fields, problems, _effective_rules(call), "password")
    await users.create(
        call.directory,
        call.actor,
        NewUser(username=email, email=email),
        password,
        PASSWORD_RULES,
        charset=UsernameCharset.PERMISSIVE,
        problems=problems,
    )
    return Response(None, 201)


async def update(call: Call) -> Response:
    """PUT /api/users/{email}: type, status, or both at once."""
    policy.require_reach(call.actor, Action.ASSIGN_ROLE)
    form_fields = await parse_fields(call.request)
    email, problems = _email_from_path(call)
    role, active = parse_role_and_status(form_fields, problems)
    if problems:
        raise Invalid(*problems)
    same_role_names = ROLES_SHOWN_AS[role] if role is not None else frozenset[Role]()
    async with call.begin() as tx:
        user = await user_lists.find(tx, email=email)
        await users.update_with_role(
            tx, user.id, role=role, active=active, same_role_names=same_role_names
        )
    return Response(None, 204)


async def set_password(call: Call) -> Response:
    """PATCH /api/users/{email}: ``newPassword``, or ``password`` as the releases read it."""
    policy.require_reach(call.actor, Action.SET_PASSWORD)
    form_fields = await parse_fields(call.request)
    email, problems = _email_from_path(call)
    password = parse_password(
        call, form_fields, problems, _effective_rules(call), "newpassword", "password"
    )
    if password:
        password_owner = NewUser(username=email, email=email)
        problems += passwords.password_problems(
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
    """DELETE /api/users/{email}: invisible and unusable; the row stays, the address is free."""
    policy.require_reach(call.actor, Action.DELETE_USER)
    email, problems = _email_from_path(call)
    if problems:
        raise Invalid(*problems)
    async with call.begin() as tx:
        user = await user_lists.find(tx, email=email)
        await users.delete(tx, user.id, erase=False)
    return Response(None, 204)


def _email_from_path(call: Call) -> tuple[str, list[Problem]]:
    """Return the path's e-mail address, and what is wrong with it."""
    email = trim(call.path_params["email"])
    return email, email_problems(email) if email else [Problem("email", "blank")]


def _effective_rules(call: Call) -> PasswordRules:
    return effective_rules(call.directory.settings.password_policy, PASSWORD_RULES)
