"""VSAY Terminal's sessions: sign in, refresh, sign out, and the caller's own account."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import refresh_tokens, sign_in, tenants, tokens, user_lists
from dragoman.dialects.vsay import schemas
from dragoman.dialects.vsay.errors import success_response
from dragoman.rules.credentials import CredentialFormat, SignInRequirements
from dragoman.rules.errors import Invalid
from dragoman.rules.model import DAY, HOUR
from dragoman.web import bodies
from dragoman.web.calls import Call

CREDENTIAL_FORMAT = CredentialFormat(
    contract="vsay", token_type="access", lifetime=HOUR, refresh_lifetime=30 * DAY
)
SIGN_IN = SignInRequirements(by_email=True, role_names=schemas.ROLE_NAMES)


async def login(call: Call) -> Response:
    """POST /auth/login: exchange an e-mail address and a password for a pair of tokens."""
    values, problems = schemas.parse_form(await bodies.read_fields(call.request), schemas.LOGIN)
    if problems:
        raise Invalid(*problems)
    user, credential = await sign_in.sign_in(
        call.directory,
        call.actor,
        values["email"],
        values["password"],
        CREDENTIAL_FORMAT,
        by_email=True,
    )
    return success_response(
        200, {**schemas.session_out(credential), "user": schemas.user_summary_out(user)}
    )


async def refresh(call: Call) -> Response:
    """POST /auth/refresh: exchange a refresh token, which works once, for a new pair of tokens."""
    values, problems = schemas.parse_form(await bodies.read_fields(call.request), schemas.REFRESH)
    if problems:
        raise Invalid(*problems)
    secret = values["refresh_token"]
    _, credential = await refresh_tokens.refresh(
        call.directory, call.actor, secret, CREDENTIAL_FORMAT
    )
    return success_response(200, schemas.session_out(credential))


async def logout(call: Call) -> Response:
    """POST /auth/logout: revoke the session's tokens."""
    async with call.begin() as tx:
        await tokens.sign_out(tx)
    return success_response(200, message="Logged out successfully")


async def me(call: Call) -> Response:
    """GET /auth/me: return the caller's own account and its organization."""
    read = call.read()
    user = await user_lists.get(read, call.actor.user_id)
    own_tenant = await tenants.get_own(read)
    return success_response(200, schemas.account_out(user, own_tenant.tenant))
