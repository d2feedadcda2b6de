"""The search for strayed secrets itself: wherever one is put, however it is written, it is found."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.attack.canaries import (
    Canary,
    CanaryRegistry,
    database_places,
    encodings,
    leaks,
    process_places,
)
from tests.support.databases import ADMIN_PASSWORD, DatabaseTemplates
from tests.support.processes import wait_for
from tests.support.rows import open_rows


@pytest.mark.parametrize("kind", ["password", "token"])
def test_every_encoding_is_found(kind: str) -> None:
    """However a secret is quoted or coded, wherever it begins."""
    canaries = CanaryRegistry()
    canary: Canary = getattr(canaries, f"make_{kind}")("it")
    secret = canary.secret
    raw = secret.encode()
    ways = {
        "as it is": raw,
        "in capitals": raw.upper(),
        "quoted": quote(secret).encode(),
        "twice quoted": quote(quote(secret)).encode(),
        "as JSON": repr(secret).encode("unicode-escape"),
        "every sign quoted": b"".join(b"%%%02X" % byte for byte in raw),
        "in hex": raw.hex().encode(),
        "in capital hex": raw.hex().upper().encode(),
        "in UTF-16": secret.encode("utf-16-le"),
        **{f"base64 {n}": base64.b64encode(b"x" * n + raw + b"yz") for n in range(4)},
        **{f"URL-safe {n}": base64.urlsafe_b64encode(b"\xff" * n + raw) for n in range(4)},
    }
    if canary.digests:
        digest = hashlib.sha256(raw)
        ways["digest"] = digest.digest()
        ways["digest in hex"] = digest.hexdigest().encode()
        ways["digest in base64"] = base64.b64encode(digest.digest())
    for way, text in ways.items():
        content = secrets.token_bytes(50) + text + secrets.token_bytes(50)
        assert leaks(canaries.canaries, {"here": content}), way
    assert not leaks(canaries.canaries, {"here": secrets.token_bytes(10_000)})
    assert len(encodings(canary.searched_part)) > 10


def test_allowed_places_are_no_leak() -> None:
    canaries = CanaryRegistry()
    canary = canaries.register("token", secrets.token_urlsafe(32), "answer 1")
    text = canary.secret.encode()
    assert not leaks(canaries.canaries, {"answer 1": text})
    assert leaks(canaries.canaries, {"answer 1": text, "answer 2": text}) == [
        "token in answer 2, raw"
    ]


def test_a_canary_in_a_database_is_seen(
    database_templates: DatabaseTemplates, backend: str
) -> None:
    """In any text column, and in the log of changes before it is folded in."""
    canaries = CanaryRegistry()
    canary = canaries.make_token("planted")
    with database_templates.seeded(backend) as (database, world):
        assert not leaks(canaries.canaries, database_places(database))

        async def plant() -> list[str]:
            rows = await open_rows(database)
            try:
                statement = (
                    f"UPDATE users SET bio = '{canary.secret}' WHERE id = {world.people['mia'].id}"
                )
                await rows.execute([(statement, [])])
                return await asyncio.to_thread(
                    leaks, canaries.canaries, await asyncio.to_thread(database_places, database)
                )
            finally:
                await rows.close()

        found = asyncio.run(plant())
    wanted = "dragoman.db-wal" if backend == "sqlite" else "table users"
    assert any(f"in {wanted}," in each for each in found), found


def test_a_canary_of_a_process_is_seen() -> None:
    canary = CanaryRegistry()
    secret = canary.make_token("argument").secret
    with subprocess.Popen(["sleep", "30"], env={**os.environ, "CANARY": secret}) as process:
        try:
            if not process_places(process.pid):
                pytest.skip("no /proc on this system")
            # What it was started with is shown when it has become the other program, not before.
            assert wait_for(lambda: bool(leaks(canary.canaries, process_places(process.pid))), 10)
        finally:
            process.kill()


def test_a_password_that_a_test_leaves_is_told(
    database_templates: DatabaseTemplates, backend: str, tmp_path: Path
) -> None:
    """At the end of all tests, when the databases that they left have been searched."""
    with database_templates.seeded(backend):
        own = DatabaseTemplates(tmp_path, database_templates._server)
        own._templates = dict(database_templates._templates)
    with own.seeded(backend) as (database, _):

        async def plant() -> None:
            rows = await open_rows(database)
            try:
                await rows.execute([(f"UPDATE users SET bio = 'my {ADMIN_PASSWORD}'", [])])
            finally:
                await rows.close()

        asyncio.run(plant())
    with pytest.raises(AssertionError, match="were written down"):
        own.close()
