"""VSAY Terminal's sessions: sign in, refresh, sign out, and the own account."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import refresh_tokens, sign_in, tenants, tokens, user_lists
from dragoman.dialects.vsay import schemas
from dragoman.dialects.vsay.errors import done
from dragoman.rules.credentials import Kind
from dragoman.rules.errors import Invalid
from dragoman.rules.model import DAY, HOUR
from dragoman.web import bodies
from dragoman.web.calls import Call

KIND = Kind(contract="vsay", kind="access", lasts=HOUR, refresh_lasts=30 * DAY)


async def login(call: Call) -> Response:
    """POST /auth/login: by e-mail address."""
    values, problems = schemas.read(await bodies.fields(call.request), schemas.LOGIN)
    if problems:
        raise Invalid(*problems)
    user, credential = await sign_in.sign_in(
        call.directory, call.actor, values["email"], values["password"], KIND, by_email=True
    )
    return done(200, {**schemas.session(credential), "user": schemas.brief(user)})


async def refresh(call: Call) -> Response:
    """POST /auth/refresh: a refresh token buys a new pair, once."""
    values, problems = schemas.read(await bodies.fields(call.request), schemas.REFRESH)
    if problems:
        raise Invalid(*problems)
    secret = values["refresh_token"]
    _, credential = await refresh_tokens.refresh(call.directory, call.actor, secret, KIND)
    return done(200, schemas.session(credential))


async def logout(call: Call) -> Response:
    """POST /auth/logout: this session is over, its refresh token too."""
    async with call.begin() as tx:
        await tokens.sign_out(tx)
    return done(200, message="Logged out successfully")


async def me(call: Call) -> Response:
    """GET /auth/me: the own account, and in which organisation it acts."""
    read = call.read()
    user = await user_lists.view(read, call.actor.user_id)
    own = await tenants.view_own(read)
    return done(200, schemas.myself(user, own.tenant))
