"""The public halves of the keys that sign JWTs, for whoever verifies one offline (RFC 7517)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys
from dragoman.actions.system import system_actor
from dragoman.rules.errors import Unavailable

FRESH_S = 300
"""How long a copy of the keys may be kept; a key that is not among them is asked for anew."""


def routes(directory: Directory) -> list[Route]:
    """Return /.well-known/jwks.json: the current key, and earlier ones that still verify."""

    async def published(_: Request) -> Response:
        try:
            found = await jwt_keys.published(directory.read(system_actor("keys")))
        except Unavailable as fault:
            headers = {"Retry-After": str(fault.retry_after)}
            return JSONResponse({"error": "unavailable"}, 503, headers)
        return JSONResponse(found, headers={"Cache-Control": f"public, max-age={FRESH_S}"})

    return [Route("/.well-known/jwks.json", published)]
