"""What must hold for every answer, whatever was asked."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.fuzz.requests import Answer, FuzzRequest
from tests.support.rows import open_rows
from tests.support.world import PASSWORD, World

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header may hold: with it another one could begin."""
EMPTY_REFUSALS = {("binacle", 400), ("binacle", 413), ("binacle", 415)}
"""Refusals that a contract leaves empty where the request's own body could not be read."""
FOREIGN = ("gil", "gus")
EVENTS = {"request", "refused", "limited", "unavailable", "mail_dropped", "mail_sent", "signed_in"}
"""What may be logged: no bug among it."""


class DatabaseFingerprint:
    """How a database stands, in a few figures that every change moves.

    Failed attempts and their history, tokens and when they were last used are left out: refusals
    move them.
    """

    FIGURES_SQL = """SELECT
        (SELECT count(*) FROM users) AS users,
        (SELECT sum(updated_at) FROM users) AS changed,
        (SELECT sum(auth_epoch) FROM users) AS epochs,
        (SELECT count(*) FROM users WHERE deleted_at IS NULL AND active) AS active,
        (SELECT count(*) FROM tenants WHERE deleted_at IS NULL) AS tenants,
        (SELECT sum(updated_at) FROM tenants) AS moved,
        (SELECT count(*) FROM names) AS names,
        (SELECT count(*) FROM grants) AS grants,
        (SELECT count(*) FROM access) AS access,
        (SELECT count(*) FROM invitations) AS invitations,
        (SELECT sum(generation + accepted_at + revoked_at) FROM invitations) AS offers,
        (SELECT max(id) FROM audit
            WHERE action NOT IN ('sessions.sign_in_failed', 'sessions.refresh_reused')) AS audit,
        (SELECT max(id) FROM outbox) AS outbox"""

    def __init__(self, database: str) -> None:
        self._runner = asyncio.Runner()
        self._rows: Any = self._runner.run(open_rows(database))

    def figures(self) -> dict[str, Any]:
        """Return the figures."""
        return self._runner.run(self._rows._fetch(self.FIGURES_SQL))[0]

    def reactivate(self, user_id: int) -> None:
        """Switch somebody on again who was switched off."""
        statement = f"UPDATE users SET active = true WHERE id = {user_id:d}"
        self._runner.run(self._rows.execute([(statement, [])]))

    def close(self) -> None:
        """Give the connection up."""
        self._runner.run(self._rows.close())
        self._runner.close()


def secrets_of_others(world: World) -> list[str]:
    """Return what belongs to the other tenant, and is nobody else's word."""
    people = [world.people[name] for name in FOREIGN]
    place = world.tenants["globex"]
    return [
        *(p.email for p in people),
        *(p.public_id for p in people),
        place.uuid,
    ]


def answer_problems(asked: FuzzRequest, answer: Answer, foreign: list[str]) -> Iterator[str]:
    """Yield what is wrong with an answer by itself."""
    if answer.status >= 500:
        yield f"failed: {answer.status}"
    yield from _media_type_problems(asked, answer)
    for name, value in answer.headers:
        if CONTROL_BYTES.search(value) or name == b"x-injected":
            yield f"header: {name!r} {value!r}"
    if not REQUEST_ID.fullmatch(answer.header(b"x-request-id")):
        yield f"request id: {answer.header(b'x-request-id')!r}"
    if asked.who != "root":
        said = asked.text()
        shown = [word for word in foreign if word.encode() in answer.body and word not in said]
        if shown:
            yield f"shows another tenant's: {shown}"
    if PASSWORD.encode() in answer.body and PASSWORD not in asked.text():
        yield "shows a password"


def _media_type_problems(asked: FuzzRequest, answer: Answer) -> Iterator[str]:
    """JSON where the contract says so, and nothing or JSON everywhere else."""
    operation, content_type = asked.operation, answer.header(b"content-type")
    if not answer.body:
        silent = (operation.contract, answer.status) in EMPTY_REFUSALS or asked.may_reach_other_path
        if answer.status in operation.json_statuses and not silent:
            yield "no body"
        return
    if not content_type.startswith("application/json"):
        yield f"media type: {content_type!r}"
    try:
        json.loads(answer.body)
    except ValueError:
        yield "no JSON"
    if answer.status not in operation.documented_statuses and not asked.may_reach_other_path:
        yield f"undocumented: {answer.status}"


def authentication_problems(asked: FuzzRequest, answer: Answer) -> Iterator[str]:
    """Yield what is wrong with an answer to somebody without a credential."""
    allowed = {401, 404, 405} if asked.may_reach_other_path else {401}
    if asked.operation.needs_credential and answer.status not in allowed:
        yield f"authentication ignored: {answer.status}"


def refusal_changes(answer: Answer, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yield what a refusal changed."""
    if answer.status >= 400 and before != after:
        yield f"a refusal changed: {sorted(k for k in after if after[k] != before[k])}"


def log_problems(lines: str, *, requests: int) -> Iterator[str]:
    """Yield what is wrong with the lines that so many requests left in the log."""
    logged_requests = 0
    for line in lines.split("\n")[:-1]:
        try:
            event: Any = json.loads(line)
        except ValueError:
            yield f"log: no JSON: {line!r}"
            continue
        if not isinstance(event, dict) or event.get("event") not in EVENTS or "forged" in event:
            yield f"log: {line!r}"
        else:
            logged_requests += event["event"] == "request"
    if not lines.endswith("\n") and lines:
        yield "log: no end of line"
    if logged_requests != requests:
        yield f"log: {logged_requests} lines for {requests} requests"
    if PASSWORD in lines:
        yield "log: a password"
