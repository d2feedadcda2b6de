"""VSAY Terminal's invitations: send, list, send again, take back, look at, accept."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import invitations
from dragoman.dialects.vsay import schemas
from dragoman.dialects.vsay.auth import KIND
from dragoman.dialects.vsay.errors import done
from dragoman.dialects.vsay.paging import Slice
from dragoman.rules import policy
from dragoman.rules.errors import Invalid
from dragoman.rules.model import Role
from dragoman.rules.vocabulary import Action
from dragoman.web import bodies, pagination
from dragoman.web.calls import Call


async def invite(call: Call) -> Response:
    """POST /users/invite: a mail goes out."""
    policy.allow(call.actor, Action.INVITE)
    body = await bodies.fields(call.request)
    values, problems = schemas.read(body, schemas.INVITE)
    role = schemas.role_of(values, problems)
    machines = schemas.machine_ids(body, problems)
    async with call.begin() as tx:
        made = await invitations.invite(
            tx,
            email=values.get("email", ""),
            name=values.get("name") or "",
            role=role or Role.VIEWER,  # where there is none, a problem says so
            resources=machines,
            problems=problems,
        )
    return done(201, schemas.sent(made), "Invitation sent successfully")


async def listing(call: Call) -> Response:
    """GET /users/invitations: newest first."""
    policy.allow(call.actor, Action.INVITE)
    part = Slice(pagination.query_of(call))
    if part.problems:
        raise Invalid(*part.problems)
    found = await invitations.page(call.read(), limit=part.limit, offset=part.offset)
    shown = [schemas.offer(each) for each in found.rows]
    return done(200, {"invitations": shown, "pagination": part.told(found.count)})


def _id(call: Call) -> str:
    return schemas.public_id(call.params["invitation"], schemas.INVITATION)


async def resend(call: Call) -> Response:
    """POST /users/invitations/{invitation}/resend: another week, another link."""
    async with call.begin() as tx:
        await invitations.resend(tx, _id(call))
    return done(200, message="Invitation resent successfully")


async def revoke(call: Call) -> Response:
    """DELETE /users/invitations/{invitation}."""
    async with call.begin() as tx:
        await invitations.revoke(tx, _id(call))
    return done(200, message="Invitation revoked successfully")


async def show(call: Call) -> Response:
    """GET /users/invitations/{invitation}, which is a link's secret here: whom it is for."""
    found = await invitations.show(call.directory, call.actor, call.params["invitation"])
    made = found.invitation
    data = {
        "email": made.email,
        "name": made.name,
        "role": schemas.WORDS[made.role],
        "organization": schemas.organization(found.tenant),
        "expires_at": schemas.moment(made.expires_at),
    }
    return done(200, data)


async def accept(call: Call) -> Response:
    """POST /users/invitations/{invitation}/accept: the user, and a first session."""
    values, problems = schemas.read(await bodies.fields(call.request), schemas.ACCEPT)
    user, credential = await invitations.accept(
        call.directory,
        call.actor,
        call.params["invitation"],
        values.get("password", ""),
        values.get("name") or "",
        schemas.FLOOR,
        KIND,
        problems=problems,
    )
    data = {**schemas.session(credential), "user": schemas.brief(user)}
    return done(201, data, "Invitation accepted successfully")
