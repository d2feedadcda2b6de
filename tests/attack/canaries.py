"""Secrets that sing wherever they get to: made once, looked for everywhere, in every spelling."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from dragoman.store.drivers import sqlite_library


class Canary(msgspec.Struct):
    """A secret, what it is, and where it may be found: the names of places.

    ``core`` is what is looked for: random, and of letters and digits alone, so that most ways of
    quoting leave it as it is. It begins with ``mark``, which those of one test may share: what is
    looked for first. ``digests`` says that its plain SHA-256 must not be found either.
    """

    description: str
    secret: str
    searched_part: str
    mark: str
    digests: bool
    allowed_places: set[str] = msgspec.field(default_factory=set)


class CanaryRegistry:
    """All canaries of a test."""

    def __init__(self) -> None:
        self.canaries: list[Canary] = []
        self.mark = "k" + secrets.token_hex(7)

    def make_password(self, what: str) -> Canary:
        """Make a password that every kind of quoting changes; it belongs nowhere."""
        core = self.mark + secrets.token_hex(9)
        return self._add(Canary(what, f'é"\\/+&<% {core}', core, self.mark, True))

    def make_token(self, what: str, belongs: str = "") -> Canary:
        """Make one of letters and digits alone."""
        core = self.mark + secrets.token_hex(9)
        return self._add(Canary(what, core, core, self.mark, False, {belongs} - {""}))

    def register(self, what: str, secret: str, *belongs: str) -> Canary:
        """Take in a secret that the server has made; of a JWT, its signature is one."""
        core = secret.rpartition(".")[2]
        return self._add(Canary(what, secret, core, core, False, set(belongs)))

    def _add(self, canary: Canary) -> Canary:
        assert len(canary.searched_part) >= 20, "too short to be nothing else"
        self.canaries.append(canary)
        return canary


def encodings(text: str) -> dict[str, bytes]:
    """Return how a text may be written; but for base64 they are found in any case."""
    raw = text.encode()
    found = {
        "raw": raw.lower(),
        "in hex": raw.hex().encode(),
        "percent-encoded": b"".join(b"%%%02x" % byte for byte in raw),
        "in UTF-16": text.lower().encode("utf-16-le"),
        "in escapes": b"".join(b"\\u%04x" % byte for byte in raw),
        "backwards": raw.lower()[::-1],
    }
    for shift in range(3):
        # What stands before moves the bits: the first and last sign depend on the neighbours.
        coded = base64.b64encode(b"\0" * shift + raw)
        inner = coded[4 if shift else 0 : -4]
        found[f"in base64, {shift}"] = inner
        found[f"in URL-safe base64, {shift}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    return found


def digests(canary: Canary) -> dict[str, bytes]:
    """Return its digest as it may be written: nobody keeps that of a password."""
    digest = hashlib.sha256(canary.secret.encode())
    return {
        "SHA-256": digest.digest(),
        "SHA-256 in hex": digest.hexdigest().encode(),
        "SHA-256 in base64": base64.b64encode(digest.digest())[:-4],
    }


def find_canaries(
    canaries: list[Canary], places: Mapping[str, bytes]
) -> Iterator[tuple[str, str, str]]:
    """Yield each canary, place and spelling that meet, wherever it belongs or not."""
    exact = {place: content for place, content in places.items() if content}
    lowered = {place: content.lower() for place, content in exact.items()}
    everything = {True: b"\n\0\n".join(exact.values()), False: b"\n\0\n".join(lowered.values())}
    flocks: dict[str, list[Canary]] = {}
    for canary in canaries:
        flocks.setdefault(canary.mark, []).append(canary)
        if canary.digests:
            for spelling, form in digests(canary).items():
                if form in everything[True]:
                    for place, content in exact.items():
                        if form in content:
                            yield canary.description, place, spelling
    for mark, flock in flocks.items():
        for spelling, form in encodings(mark).items():
            as_it_is = "base64" in spelling
            if form not in everything[as_it_is]:
                continue
            for place, content in (exact if as_it_is else lowered).items():
                if form in content:
                    for canary in flock:
                        if encodings(canary.searched_part)[spelling] in content:
                            yield canary.description, place, spelling


def leaks(canaries: list[Canary], places: Mapping[str, bytes]) -> list[str]:
    """Return every sighting at a place where the canary does not belong."""
    home = {canary.description: canary.allowed_places for canary in canaries}
    return [
        f"{what} in {place}, {spelling}"
        for what, place, spelling in find_canaries(canaries, places)
        if place not in home[what]
    ]


def database_places(database: str) -> dict[str, bytes]:
    """Return everything that a database holds: its files, or every table as COPY writes it."""
    if database.startswith("sqlite:///"):
        path = Path(database.removeprefix("sqlite:///"))
        files = {each.name: each.read_bytes() for each in path.parent.glob(f"{path.name}*")}
        with contextlib.closing(sqlite_library.connect(path)) as connection:
            return files | {"dump": "\n".join(_dump(connection)).encode()}
    return asyncio.run(_copied(database))


def _dump(connection: Any) -> Iterator[str]:
    """Yield every row of every ordinary table, the index of searches among them."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in names:
        for row in connection.execute(f'SELECT * FROM "{name}"'):
            yield f"{name} {row!r}"


async def _copied(database: str) -> dict[str, bytes]:
    connection = await asyncpg.connect(database)
    try:
        found: dict[str, bytes] = {}
        for (name,) in await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ):
            output = io.BytesIO()
            await connection.copy_from_table(name, output=output)
            found[f"table {name}"] = output.getvalue()
        return found
    finally:
        await connection.close()


def process_places(*pids: int) -> dict[str, bytes]:
    """Return command lines and environments of processes, where the system shows them."""
    return {
        f"{kind} of process {pid}": path.read_bytes()
        for pid in pids
        for kind in ("cmdline", "environ")
        if (path := Path(f"/proc/{pid}/{kind}")).exists()
    }
