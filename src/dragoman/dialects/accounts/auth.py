"""Sign-up and sign-in of the accounts contract."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import permissions, sign_in, tokens
from dragoman.actions.permissions import NO_GRANTS
from dragoman.dialects.accounts import schemas
from dragoman.rules import crypto
from dragoman.rules.credentials import CredentialFormat, SignInRequirements
from dragoman.rules.errors import Invalid
from dragoman.web import bodies, forms
from dragoman.web.calls import Call
from dragoman.web.responses import MsgspecResponse

CREDENTIAL_FORMAT = CredentialFormat(contract="accounts", generate=crypto.generate_hex)
SIGN_IN = SignInRequirements()  # roles do not occur in this contract


async def register(call: Call) -> Response:
    """POST /api/users/signup: create a member of the default tenant; no token is issued."""
    sign_in.ensure_sign_up_allowed(call.directory)
    values, problems = forms.parse(await bodies.read_fields(call.request), schemas.REGISTER)
    password = values.pop("password", "")
    new = schemas.new_user(values)
    user, _ = await sign_in.sign_up(
        call.directory, call.actor, new, password, schemas.PASSWORD_RULES, None, problems=problems
    )
    return MsgspecResponse(201, schemas.user_out(user, NO_GRANTS))


async def login(call: Call) -> Response:
    """POST /api/users/signin: sign in with a username or an e-mail address; issues a new token."""
    values, problems = forms.parse(await bodies.read_fields(call.request), schemas.LOGIN)
    if problems:
        raise Invalid(*problems)
    user, credential = await sign_in.sign_in(
        call.directory, call.actor, values["username"], values["password"], CREDENTIAL_FORMAT
    )
    # Read as the user: a visitor may not see grants.
    call.actor, call.user = await tokens.as_actor(call.directory, call.actor, user), user
    grants_by_user = await permissions.grants_by_user(call.read(), [user])
    return MsgspecResponse(
        200, schemas.signed_in_out(user, grants_by_user[user.id], credential.secret)
    )
