"""Check that this directory, and nothing else, answers at the public URL."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from typing import Any
from urllib.parse import urlsplit

import msgspec

from dragoman.jobs.daemon_threads import run_in_daemon_thread
from dragoman.jobs.doctor.finding import Finding, fail, ok, warn
from dragoman.jobs.doctor.foreign_text import printable
from dragoman.settings import Settings

CHECK = "public address"
TIMEOUT_S = 3.0
"""Timeout of one step of the request, in seconds."""
DEADLINE_S = 10.0
"""Timeout of the whole request, in seconds."""
MAX_ANSWER = 64 * 1024
"""Maximum number of bytes that are read of the answer."""
NOWHERE = "links in mails and answers lead nowhere, if users get the same"


class _Answer(msgspec.Struct, frozen=True):
    """The answer of whatever is at the public URL; redirects are not followed."""

    status: int
    location: str
    body: dict[str, Any]


async def check(settings: Settings, instance: str | None, listening: str | None) -> Finding:
    """Ask /readyz at the public URL which directory it belongs to.

    Args:
        settings: the settings, with the public URL.
        instance: the id of the directory in the database; None if no server ever started on it.
        listening: where the server that started last listens; None if that is not known.
    """
    url = settings.public_url
    try:
        async with asyncio.timeout(DEADLINE_S):
            answer = await run_in_daemon_thread(lambda: _ask(url))
    except ssl.SSLCertVerificationError as error:
        found = f"{url}: its certificate is not valid: {printable(error.verify_message)}"
        return warn(CHECK, found, "clients refuse to connect", "renew the proxy's certificate")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _no_answer(url, error, listening)
    return _judge(url, answer, instance, _advice(url, listening))


def _ask(url: str) -> _Answer:
    parts = urlsplit(url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        headers = {"Accept": "application/json", "User-Agent": "dragoman-doctor"}
        connection.request("GET", f"{parts.path.rstrip('/')}/readyz", headers=headers)
        response = connection.getresponse()
        data = response.read(MAX_ANSWER)
        return _Answer(response.status, response.getheader("Location", ""), _decode(data))
    finally:
        connection.close()


def _decode(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _no_answer(url: str, error: Exception, listening: str | None) -> Finding:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        reason = "no answer in time"
    found = f"nothing answers at {url} ({printable(str(reason))})"
    if listening and listening != url:
        found += f"; the server that started last listens on {listening}"
    return warn(CHECK, found, NOWHERE, _advice(url, listening, running=False))


def _advice(url: str, listening: str | None, *, running: bool = True) -> str:
    if listening and listening != url:
        return f"set DRAGOMAN_PUBLIC_URL={listening}, or let a proxy lead {url} there"
    start = "" if running else "start 'dragoman serve', or "
    return f"{start}set DRAGOMAN_PUBLIC_URL to the address that users reach"


def _judge(url: str, answer: _Answer, instance: str | None, advice: str) -> Finding:
    if 300 <= answer.status < 400:
        return warn(
            CHECK,
            f"{url} redirects to {printable(answer.location) or 'nowhere'}",
            "clients of an API do not follow it, or lose the body of a POST",
            "set DRAGOMAN_PUBLIC_URL to the address that answers without a redirect",
        )
    found = answer.body.get("directory")
    if isinstance(found, str) and instance is not None and found != instance:
        return fail(
            CHECK,
            f"another directory answers at {url}",
            "links in mails lead there: they do not work, and show it their secrets",
            advice,
        )
    if answer.body.get("status") == "not ready":
        return warn(
            CHECK,
            f"the server at {url} is not ready: {printable(str(answer.body.get('what')))}",
            "it answers with 503",
            "see the log of that server",
        )
    if answer.status == 200 and found is not None and found == instance:
        return ok(CHECK, f"this directory answers at {url}")
    return warn(
        CHECK,
        f"what answers at {url} does not show that it is this directory (status {answer.status})",
        "links in mails may lead to something else, and show it their secrets",
        f"{advice}; a proxy must pass /readyz on",
    )
