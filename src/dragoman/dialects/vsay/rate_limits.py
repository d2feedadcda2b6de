"""Rate limit headers of every response."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.web import rate_limits
from dragoman.web.calls import Call


async def add_rate_limit_headers(call: Call, response: Response) -> None:
    """Add ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` (Unix seconds) if a limit is set."""
    rate_limit = await rate_limits.remaining(
        call.directory.settings, call.address, call.actor.user_id
    )
    if rate_limit is None:
        return
    response.headers["X-RateLimit-Limit"] = str(rate_limit.limit)
    response.headers["X-RateLimit-Remaining"] = str(rate_limit.remaining)
    response.headers["X-RateLimit-Reset"] = str(rate_limit.resets_at)
