"""The runner of transcripts: plays a file against a running application and tells what differs."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec

from dragoman.settings import PARSERS, Settings
from tests.support import databases, mailbox, patterns, transcript
from tests.support.databases import HistoryRow
from tests.support.running import running
from tests.support.transcript import Exchange, Transcript
from tests.support.world import World

_EXPLICIT = "multipart:", "form:", "hex:"


class Voice(msgspec.Struct, frozen=True):
    """What a dialect's transcripts leave unsaid.

    ``authorize`` gives the headers by which somebody of the world speaks; ``faults`` says what
    is wrong with an answer that no transcript of this dialect has to mention.
    """

    contract: str
    authorize: Callable[[World, str], dict[str, str]]
    faults: Callable[[httpx.Response], list[str]]


class Play:
    """One transcript on one database."""

    def __init__(self, script: Transcript, database: str, world: World, voice: Voice) -> None:
        self.script = script
        self.database = database
        self.world = world
        self.voice = voice
        self.variables = world.variables()
        self.failures: list[str] = []
        self.box: mailbox.Mailbox | None = None

    async def run(self, settings: Settings) -> list[str]:
        """Play every exchange and return what went wrong, each with its file and line."""
        values = {name: PARSERS[name](value) for name, value in self.script.settings.items()}
        with contextlib.ExitStack() as stack:
            if self.script.mail:
                self.box = stack.enter_context(mailbox.mailbox())
                values["smtp_url"] = self.box.url
            async with running(msgspec.structs.replace(settings, **values)) as client:
                for exchange in self.script.exchanges:
                    for line, cells in exchange.rows():
                        await self._step(client, exchange, line, cells)
        return self.failures

    async def _step(
        self, client: httpx.AsyncClient, exchange: Exchange, line: int, cells: Mapping[str, str]
    ) -> None:
        names = {**self.variables, **cells}
        before = await self._marks(exchange)
        try:
            request = _request(client, exchange, names, self._headers_of(exchange, names))
        except KeyError as missing:
            self._fail(exchange, line, cells, [f"nothing is named {missing}"], "")
            return
        response = await client.send(request)
        told = f"{request.method} {request.url.raw_path.decode()}"
        told += f" → {response.status_code} {response.text[:600]}"
        try:
            wrong = self._compare(exchange, names, response)
            wrong += self._capture(exchange, cells, response)
            wrong += await self._compare_marks(exchange, {**self.variables, **cells}, before)
            wrong += await self._mails(exchange, names)
        except (KeyError, ValueError) as fault:
            wrong = [f"{type(fault).__name__}: {fault}"]
        if wrong:
            self._fail(exchange, line, cells, wrong, told)

    def _fail(
        self, exchange: Exchange, line: int, cells: Mapping[str, str], wrong: list[str], told: str
    ) -> None:
        row = f" {dict(cells)}" if cells else ""
        head = f"{self.script.path.name}:{line}: {exchange.title}{row}"
        self.failures.append("\n".join([head, *(f"    {w}" for w in wrong), f"    {told}"]))

    def _headers_of(self, exchange: Exchange, names: Mapping[str, str]) -> dict[str, str]:
        actor = transcript.fill(exchange.actor, names)
        return self.voice.authorize(self.world, actor) if actor not in {"", "-"} else {}

    def _compare(
        self, exchange: Exchange, names: Mapping[str, str], response: httpx.Response
    ) -> list[str]:
        wrong = self.voice.faults(response)
        status = transcript.fill(exchange.status, names)
        if not patterns.like(status, str(response.status_code)):
            wrong.append(f"expected HTTP {status}, got {response.status_code}")
        for name, value in exchange.expected_headers:
            got = response.headers.get(name, "(absent)")
            if not patterns.like(transcript.fill(value, names), got):
                wrong.append(f"{name}: expected {value!r}, got {got!r}")
        everything = "\n".join([response.text, *response.headers.values()])
        for text in (*self.script.never, *exchange.absent):
            if transcript.fill(text, names) in everything:
                wrong.append(f"the answer must not say {text!r}")
        expected = transcript.fill(exchange.answer, names).strip()
        if expected == transcript.EMPTY or (not expected and status == "204"):
            return wrong if not response.content else [*wrong, "the answer should be empty"]
        if expected in {"", patterns.DOTS}:
            return wrong
        got = patterns.parse_answer(response.text) if response.content else None
        ordered = response.is_success
        return wrong + patterns.differences(patterns.read(expected), got, ordered=ordered)

    def _capture(
        self, exchange: Exchange, cells: Mapping[str, str], response: httpx.Response
    ) -> list[str]:
        wrong: list[str] = []
        for capture in exchange.captures:
            if capture.source.startswith("header "):
                value: Any = response.headers.get(capture.source.removeprefix("header "), "")
            else:
                value = patterns.at(response.json(), capture.source)
            text = value if isinstance(value, str) else json.dumps(value)
            if capture.pattern and not re.fullmatch(capture.pattern, text):
                wrong.append(f"{capture.source} is {text!r}, not like {capture.pattern}")
            self.variables[cells.get(capture.name, capture.name)] = text
        return wrong

    async def _marks(self, exchange: Exchange) -> tuple[int, int]:
        """Return the last ids of history and outbox, where the exchange speaks of them."""
        last = 0
        sent = 0
        if exchange.audit:
            rows = await databases.query(self.database, "SELECT max(id) FROM audit")
            last = rows[0][0] or 0
        if "nothing" in exchange.mail:
            rows = await databases.query(self.database, "SELECT max(id) FROM outbox")
            sent = rows[0][0] or 0
        return last, sent

    async def _compare_marks(
        self, exchange: Exchange, names: Mapping[str, str], before: tuple[int, int]
    ) -> list[str]:
        wrong: list[str] = []
        if exchange.audit:
            wanted = [transcript.fill(line, names) for line in exchange.audit]
            wanted = [line for line in wanted if line != "nothing"]
            wrong += self._audit(wanted, await databases.history(self.database, before[0]))
        if "nothing" in exchange.mail:
            query = f"SELECT kind FROM outbox WHERE id > {before[1]:d}"
            if rows := await databases.query(self.database, query):
                wrong.append(f"a mail was written: {rows}")
        return wrong

    def _audit(self, wanted: list[str], rows: list[HistoryRow]) -> list[str]:
        left = [line for line in wanted if line != patterns.DOTS]
        foreign: list[str] = []
        for row in rows:
            line = next((w for w in left if self._is(w, row)), None)
            if line is None:
                foreign.append(f"audit: unexpected {self._line(row)}")
            else:
                left.remove(line)
        missing = [f"audit: nothing like {line!r} was written" for line in left]
        return missing + ([] if patterns.DOTS in wanted else foreign)

    def _is(self, line: str, row: HistoryRow) -> bool:
        actor, action, target, *fields = line.split()
        expected = {field.strip(",") for field in fields}
        written = set(row.fields.split())
        alike = expected - {patterns.DOTS} <= written
        return (
            row.contract == self.voice.contract
            and (actor == row.actor_kind or self._id(actor) == row.actor_id != 0)
            and patterns.like(action, row.action)
            and self._id(target) == row.target_id
            and (alike if patterns.DOTS in expected else expected == written)
        )

    def _id(self, name: str) -> int:
        text = self.variables.get(name, name)
        return int(text) if text.isdigit() else -1

    def _line(self, row: HistoryRow) -> str:
        actor = str(row.actor_id or row.actor_kind)
        return f"{row.contract}: {actor} {row.action} {row.target_id} {row.fields}"

    async def _mails(self, exchange: Exchange, names: Mapping[str, str]) -> list[str]:
        wrong: list[str] = []
        for line in exchange.mail:
            if line == "nothing":
                continue
            address, _, pattern = transcript.fill(line, names).partition(" ")
            assert self.box is not None, "the preamble needs `mail: on`"
            mail = await self.box.next_to(address)
            text = mailbox.text_of(mail) if mail else ""
            found = mailbox.take(pattern, text) if mail else None
            if found is None:
                wrong.append(f"no mail to {address} with {pattern}: {text!r}")
            else:
                self.variables.update(found)
        return wrong


def _request(
    client: httpx.AsyncClient,
    exchange: Exchange,
    names: Mapping[str, str],
    headers: dict[str, str],
) -> httpx.Request:
    method = transcript.fill(exchange.method, names)
    url = transcript.fill(exchange.target, names)
    sent = [(name, transcript.fill(value, names)) for name, value in exchange.headers]
    sent += headers.items()
    body = None if exchange.body is None else transcript.fill(exchange.body, names)
    typed = any(name.lower() == "content-type" for name, _ in sent)
    if body is None:
        return client.build_request(method, url, headers=sent)
    kind, _, rest = body.partition("\n")
    if kind not in _EXPLICIT:
        if not typed:
            sent.append(("Content-Type", "application/json"))
        return client.build_request(method, url, headers=sent, content=body.encode())
    if kind == "hex:":
        return client.build_request(method, url, headers=sent, content=bytes.fromhex(rest))
    pairs = [line.partition("=")[::2] for line in rest.splitlines()]
    fields = [(name.strip(), value.strip()) for name, value in pairs]
    if kind == "form:":
        sent.append(("Content-Type", "application/x-www-form-urlencoded"))
        return client.build_request(method, url, headers=sent, content=urlencode(fields).encode())
    parts: Any = [(name, (None, value)) for name, value in fields]
    return client.build_request(method, url, headers=sent, files=parts)


async def play(path: Path, database: str, world: World, voice: Voice) -> list[str]:
    """Play a transcript against this database and return everything that went wrong."""
    script = transcript.read(path)
    settings = databases.settings_for(database)
    return await Play(script, database, world, voice).run(settings)
