"""Errors of WiWebb: Django REST framework's, with its own messages for tenants and roles."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Reason
from dragoman.rules.model import Role
from dragoman.web import drf
from dragoman.web.calls import Call
from dragoman.web.drf import NON_FIELD_ERRORS_KEY, detail_renderer, detail_response
from dragoman.web.errors import ErrorRenderer, Messages, error_handler, taken_as_invalid
from dragoman.web.responses import MsgspecResponse

FIELD_NAMES = {"phone": "phone_number", "active": "is_active", "tenant_id": "tenant"}
"""The contract's names of the directory's fields, where they differ."""

MESSAGES: Messages = {
    **drf.MESSAGES,
    "name.taken": "tenant with this name already exists.",
    "slug.taken": "tenant with this slug already exists.",
    "foreign_tenant": "TenantOwner can only manage users in their own tenant.",
}
FILTER_MESSAGES: Messages = {
    **MESSAGES,
    "choice": lambda value: f"Select a valid choice. {value} is not one of the available choices.",
    "unknown": "Select a valid choice. That choice is not one of the available choices.",
}
"""Messages for the filters of a list (django-filter's)."""


def _invalid(call: Call, error: errors.Invalid) -> Response:
    problems = [
        # A tenant out of reach is an error of the request as a whole.
        msgspec.structs.replace(problem, field=NON_FIELD_ERRORS_KEY)
        if problem.code == "foreign_tenant"
        else problem
        for problem in error.problems
    ]
    field_names = {**FIELD_NAMES, **call.field_names}
    return drf.field_errors_response(errors.Invalid(*problems), MESSAGES, field_names)


def _forbidden(call: Call, error: errors.Forbidden) -> Response:
    if error.reason is Reason.DELEGATION:
        return detail_response(403, f"{_unassignable_role_message(call)}.")
    return drf.ERROR_RENDERERS[errors.Forbidden](call, error)


def _unassignable_role_message(call: Call) -> str:
    if call.actor.role is Role.OWNER:
        return "Can only assign Subscriber role"
    return "Cannot assign SuperAdmin role"


ERROR_RENDERERS: Mapping[type[Exception], ErrorRenderer] = {
    **drf.ERROR_RENDERERS,
    errors.Invalid: _invalid,
    errors.Taken: lambda call, error: _invalid(call, taken_as_invalid(error)),
    errors.Forbidden: _forbidden,
    errors.InvalidLink: lambda call, error: MsgspecResponse(400, {error.field: ["Invalid value"]}),
    errors.InUse: detail_renderer(400, "Cannot delete tenant with existing users."),
    errors.WeakPassword: detail_renderer(400, "The user needs a longer password first."),
    errors.NoTenant: detail_renderer(404, "No tenant assigned"),
}
handle_error = error_handler(ERROR_RENDERERS)


def handle_filter_error(call: Call, error: Exception) -> Response:
    """Render errors of a list, whose filters have messages of their own."""
    if not isinstance(error, errors.Invalid):
        return handle_error(call, error)
    return drf.field_errors_response(error, FILTER_MESSAGES, FIELD_NAMES)


def handle_assign_role_error(call: Call, error: Exception) -> Response:
    """Render errors of the assign-role endpoint, which has a format of its own."""
    if isinstance(error, errors.Invalid):
        return MsgspecResponse(400, {"error": "Invalid role"})
    if isinstance(error, errors.NotFound) and call.actor.role is Role.OWNER:
        return MsgspecResponse(403, {"error": "Cannot modify users from other tenants"})
    if isinstance(error, errors.NoTenant):
        return MsgspecResponse(400, {"error": "User has no tenant"})
    if isinstance(error, errors.WeakPassword):
        return MsgspecResponse(400, {"error": "The user needs a longer password first"})
    if isinstance(error, errors.LastSuperadmin):
        return MsgspecResponse(400, {"error": "At least one active SuperAdmin must remain."})
    if not isinstance(error, errors.Forbidden):
        return handle_error(call, error)
    messages = {
        Reason.DELEGATION: _unassignable_role_message(call),
        Reason.OWN_ACCOUNT: "Cannot change your own role",
    }
    if call.actor.role is Role.ADMIN:
        messages[Reason.RANK] = "Cannot modify a SuperAdmin"
    return MsgspecResponse(403, {"error": messages.get(error.reason, "Insufficient permissions")})
