"""VSAY Terminal's invitations: send, list, resend, revoke, show, accept."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import invitations
from dragoman.dialects.vsay import schemas
from dragoman.dialects.vsay.auth import CREDENTIAL_FORMAT
from dragoman.dialects.vsay.errors import success_response
from dragoman.dialects.vsay.pagination import PageQuery
from dragoman.rules import policy
from dragoman.rules.errors import Invalid
from dragoman.rules.model import Role
from dragoman.rules.vocabulary import Action
from dragoman.web import bodies, pagination
from dragoman.web.calls import Call


async def invite(call: Call) -> Response:
    """POST /users/invite: create an invitation and send it by mail."""
    policy.require_reach(call.actor, Action.INVITE)
    body = await bodies.read_fields(call.request)
    values, problems = schemas.parse_form(body, schemas.INVITE)
    machine_ids, machine_problems = schemas.parse_machine_ids(body)
    async with call.begin() as tx:
        invitation = await invitations.invite(
            tx,
            email=values.get("email", ""),
            name=values.get("name") or "",
            role=values.get("role", Role.VIEWER),  # a problem reports a missing role
            resources=machine_ids,
            problems=problems + machine_problems,
        )
    return success_response(
        201, schemas.sent_invitation_out(invitation), "Invitation sent successfully"
    )


async def list_invitations(call: Call) -> Response:
    """GET /users/invitations: list invitations, newest first."""
    policy.require_reach(call.actor, Action.INVITE)
    page_query = PageQuery(pagination.query_params(call))
    if page_query.problems:
        raise Invalid(*page_query.problems)
    page = await invitations.list_page(
        call.read(), limit=page_query.limit, offset=page_query.offset
    )
    items = [schemas.invitation_out(each) for each in page.rows]
    return success_response(
        200, {"invitations": items, "pagination": page_query.to_dict(page.count)}
    )


def _public_id(call: Call) -> str:
    return schemas.public_id(call.path_params["invitation"], schemas.INVITATION_ID_PREFIX)


async def resend(call: Call) -> Response:
    """POST /users/invitations/{invitation}/resend: send a new link and extend the invitation."""
    async with call.begin() as tx:
        await invitations.resend(tx, _public_id(call))
    return success_response(200, message="Invitation resent successfully")


async def revoke(call: Call) -> Response:
    """DELETE /users/invitations/{invitation}: revoke an invitation."""
    async with call.begin() as tx:
        await invitations.revoke(tx, _public_id(call))
    return success_response(200, message="Invitation revoked successfully")


async def show(call: Call) -> Response:
    """GET /users/invitations/{invitation}: show an invitation by the secret of its link."""
    open_invitation = await invitations.get_open(
        call.directory, call.actor, call.path_params["invitation"]
    )
    invitation = open_invitation.invitation
    data = {
        "email": invitation.email,
        "name": invitation.name,
        "role": schemas.ROLE_NAMES[invitation.role],
        "organization": schemas.organization_out(open_invitation.tenant),
        "expires_at": schemas.timestamp(invitation.expires_at),
    }
    return success_response(200, data)


async def accept(call: Call) -> Response:
    """POST /users/invitations/{invitation}/accept: create the user and its first session."""
    values, problems = schemas.parse_form(await bodies.read_fields(call.request), schemas.ACCEPT)
    user, credential = await invitations.accept(
        call.directory,
        call.actor,
        call.path_params["invitation"],
        values.get("password", ""),
        values.get("name") or "",
        schemas.PASSWORD_RULES,
        CREDENTIAL_FORMAT,
        problems=problems,
    )
    data = {**schemas.session_out(credential), "user": schemas.user_summary_out(user)}
    return success_response(201, data, "Invitation accepted successfully")
