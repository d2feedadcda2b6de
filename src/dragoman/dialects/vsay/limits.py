"""The headers that tell every caller what its limit leaves."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.web import rate_limits
from dragoman.web.calls import Call


def tell(call: Call, response: Response) -> None:
    """Add ``X-RateLimit-…`` to an answer: requests, and unix seconds; nothing without a limit."""
    allowance = rate_limits.left(call.directory.settings, call.address, call.actor.user_id)
    if allowance is None:
        return
    response.headers["X-RateLimit-Limit"] = str(allowance.limit)
    response.headers["X-RateLimit-Remaining"] = str(allowance.remaining)
    response.headers["X-RateLimit-Reset"] = str(allowance.resets_at)
