"""The headers that tell every caller what its limit leaves."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.web import rate_limits
from dragoman.web.calls import Call


def add_rate_limit_headers(call: Call, response: Response) -> None:
    """Add ``X-RateLimit-…`` to an answer: requests, and unix seconds; nothing without a limit."""
    rate_limit = rate_limits.remaining(call.directory.settings, call.address, call.actor.user_id)
    if rate_limit is None:
        return
    response.headers["X-RateLimit-Limit"] = str(rate_limit.limit)
    response.headers["X-RateLimit-Remaining"] = str(rate_limit.remaining)
    response.headers["X-RateLimit-Reset"] = str(rate_limit.resets_at)
