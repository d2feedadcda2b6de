"""History: who did what to whom, through which contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions import history
from dragoman.console import pages
from dragoman.console.console import Console
from dragoman.console.contract import CONTRACT
from dragoman.console.screen import Screen
from dragoman.rules.model import DAY, SECOND, HistoryFilter
from dragoman.rules.vocabulary import AuditAction
from dragoman.web.calls import Call, parse_positive_int

SIZE = 50
_ACTIONS = sorted(action.value for action in AuditAction)


def routes(console: Console) -> list[Route]:
    """Return the routes of the screen."""
    return [Route("/history", Screen(console.directory, CONTRACT, GET=_show))]


def _moment(text: str) -> int | None:
    """Return the beginning of a day, such as 2026-11-30 (UTC), in microseconds; None for others."""
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * SECOND
    except ValueError:
        return None


async def _show(call: Call) -> Response:
    """GET /console/history."""
    params = call.request.query_params
    action, request_id = params.get("action", ""), params.get("request", "").strip()[:64]
    user_id = parse_positive_int(params.get("user", ""))
    since, until = _moment(params.get("since", "")), _moment(params.get("until", ""))
    conditions = HistoryFilter(
        user_id=user_id or None,
        action=action if action in _ACTIONS else None,
        since=since,
        until=None if until is None else until + DAY,
        request_id=request_id or None,
    )
    entries = await history.find(call.read(), conditions, limit=SIZE)
    asked: dict[str, Any] = {
        name: params.get(name, "") for name in ("user", "action", "since", "until", "request")
    }
    return pages.render(call, "history", entries=entries, asked=asked, actions=_ACTIONS, size=SIZE)
