"""JSON Web Key Set: the public keys with which clients verify JWTs offline (RFC 7517)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys
from dragoman.actions.system import system_actor
from dragoman.rules.errors import Unavailable
from dragoman.rules.model import SECOND

MAX_AGE_S = jwt_keys.KEY_SET_MAX_AGE // SECOND
"""How long clients may cache the keys (seconds); they fetch them again for an unknown key id."""


def routes(directory: Directory) -> list[Route]:
    """Return the route of /.well-known/jwks.json: keys that sign, now or soon, or did lately."""

    async def jwks(_: Request) -> Response:
        try:
            key_set = await jwt_keys.jwk_set(directory.read(system_actor("keys")))
        except Unavailable as error:
            headers = {"Retry-After": str(error.retry_after)}
            return JSONResponse({"error": "unavailable"}, 503, headers)
        return JSONResponse(key_set, headers={"Cache-Control": f"public, max-age={MAX_AGE_S}"})

    return [Route("/.well-known/jwks.json", jwks)]
