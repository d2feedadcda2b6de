"""Fresh proof: the password again, before what cannot be taken back lightly."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from dragoman.actions import sign_in, tokens
from dragoman.console import contract
from dragoman.console.exceptions import PROOF_FIELD, ProofNeeded
from dragoman.rules.credentials import Credential
from dragoman.rules.errors import BadCredentials, RateLimited
from dragoman.rules.model import MINUTE
from dragoman.web.calls import Call

VALID_FOR = 10 * MINUTE
"""How long a sign-in, or a proof, counts as fresh (microseconds)."""


class Proof:
    """A fresh proof; a new session may have come with it, which the response has to carry."""

    def __init__(self, credential: Credential | None = None) -> None:
        self._credential = credential

    def carry(self, response: Response) -> Response:
        """Add the session that began with the proof, if any, to the response."""
        if self._credential is not None:
            contract.set_session(response, self._credential)
        return response


async def require_fresh(call: Call, form: Mapping[str, str]) -> Proof:
    """Return a proof: the session is young enough, or the form brings the password.

    Args:
        call: the request; its actor is the new session's afterwards.
        form: the fields of the form.

    Raises:
        ProofNeeded: it is not, and the form has no password or a wrong one.
        Unavailable: the hashing queue is full, or the database cannot serve.
    """
    if call.session_age < VALID_FOR:
        return Proof()
    password = form.get(PROOF_FIELD, "")
    if not password:
        raise ProofNeeded(form)
    assert call.user is not None
    try:
        _, credential = await sign_in.sign_in(
            call.directory,
            call.visitor(),
            call.user.username,
            password,
            call.contract.credential_format,
        )
    except BadCredentials:
        raise ProofNeeded(form, "That is not your password.") from None
    except RateLimited:
        raise ProofNeeded(form, "Too many wrong passwords. Try again in a few minutes.") from None
    async with call.begin() as tx:
        await tokens.sign_out(tx)
    await call.identify_by(credential.secret)
    return Proof(credential)
