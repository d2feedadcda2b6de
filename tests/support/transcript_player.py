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

from dragoman import dialects
from dragoman.settings import Settings, all_parsers, replace
from tests.support import databases, ellipsis_matching, mailbox, transcript
from tests.support.databases import AuditRow
from tests.support.running_app import running_client
from tests.support.transcript import Exchange, Transcript
from tests.support.world import World

_BODY_FORMATS = "multipart:", "form:", "hex:"


class ContractProfile(msgspec.Struct, frozen=True):
    """What applies to every request and answer of a contract's transcripts.

    ``authorize`` gives the headers by which somebody of the world speaks; ``faults`` says what
    is wrong with an answer that no transcript of this dialect has to mention.
    """

    contract: str
    authorize: Callable[[World, str], dict[str, str]]
    answer_problems: Callable[[httpx.Response], list[str]]


class TranscriptPlayer:
    """One transcript on one database."""

    def __init__(
        self, script: Transcript, database: str, world: World, profile: ContractProfile
    ) -> None:
        self.script = script
        self.database = database
        self.world = world
        self.profile = profile
        self.variables = world.variables()
        self.failures: list[str] = []
        self.box: mailbox.Mailbox | None = None

    async def run(self, settings: Settings) -> list[str]:
        """Play every exchange and return what went wrong, each with its file and line."""
        declared = dialects.declared_settings()
        parsers = all_parsers(declared)
        values = {name: parsers[name](value) for name, value in self.script.settings.items()}
        with contextlib.ExitStack() as stack:
            if self.script.mail:
                self.box = stack.enter_context(mailbox.mailbox())
                values["smtp_url"] = self.box.url
            async with running_client(replace(settings, values, declared)) as client:
                for exchange in self.script.exchanges:
                    for line, cells in exchange.rows():
                        await self._step(client, exchange, line, cells)
        return self.failures

    async def _step(
        self, client: httpx.AsyncClient, exchange: Exchange, line: int, cells: Mapping[str, str]
    ) -> None:
        names = {**self.variables, **cells}
        before = await self._last_row_ids(exchange)
        try:
            request = _request(client, exchange, names, self._headers_of(exchange, names))
        except KeyError as error:
            self._fail(exchange, line, cells, [f"nothing is named {error}"], "")
            return
        response = await client.send(request)
        exchange_text = f"{request.method} {request.url.raw_path.decode()}"
        exchange_text += f" → {response.status_code} {response.text[:600]}"
        try:
            wrong = self._compare(exchange, names, response)
            wrong += self._capture(exchange, cells, response)
            wrong += await self._compare_new_rows(exchange, {**self.variables, **cells}, before)
            wrong += await self._mails(exchange, names)
        except (KeyError, ValueError) as error:
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            self._fail(exchange, line, cells, wrong, exchange_text)

    def _fail(
        self,
        exchange: Exchange,
        line: int,
        cells: Mapping[str, str],
        differences: list[str],
        exchange_text: str,
    ) -> None:
        row = f" {dict(cells)}" if cells else ""
        head = f"{self.script.path.name}:{line}: {exchange.title}{row}"
        self.failures.append(
            "\n".join([head, *(f"    {w}" for w in differences), f"    {exchange_text}"])
        )

    def _headers_of(self, exchange: Exchange, names: Mapping[str, str]) -> dict[str, str]:
        actor = transcript.substitute(exchange.actor, names)
        return self.profile.authorize(self.world, actor) if actor not in {"", "-"} else {}

    def _compare(
        self, exchange: Exchange, names: Mapping[str, str], response: httpx.Response
    ) -> list[str]:
        wrong = self.profile.answer_problems(response)
        status = transcript.substitute(exchange.status, names)
        if not ellipsis_matching.matches(status, str(response.status_code)):
            wrong.append(f"expected HTTP {status}, got {response.status_code}")
        for name, value in exchange.expected_headers:
            got = response.headers.get(name, "(absent)")
            if not ellipsis_matching.matches(transcript.substitute(value, names), got):
                wrong.append(f"{name}: expected {value!r}, got {got!r}")
        everything = "\n".join([response.text, *response.headers.values()])
        for text in (*self.script.forbidden_texts, *exchange.forbidden_texts):
            if transcript.substitute(text, names) in everything:
                wrong.append(f"the answer must not say {text!r}")
        expected = transcript.substitute(exchange.answer, names).strip()
        if expected == transcript.EMPTY or (not expected and status == "204"):
            return wrong if not response.content else [*wrong, "the answer should be empty"]
        if expected in {"", ellipsis_matching.ELLIPSIS}:
            return wrong
        got = ellipsis_matching.parse_answer(response.text) if response.content else None
        ordered = response.is_success
        return wrong + ellipsis_matching.differences(
            ellipsis_matching.parse_expected(expected), got, ordered=ordered
        )

    def _capture(
        self, exchange: Exchange, cells: Mapping[str, str], response: httpx.Response
    ) -> list[str]:
        wrong: list[str] = []
        for capture in exchange.captures:
            if capture.source.startswith("header "):
                value: Any = response.headers.get(capture.source.removeprefix("header "), "")
            else:
                value = ellipsis_matching.value_at(response.json(), capture.source)
            text = value if isinstance(value, str) else json.dumps(value)
            if capture.pattern and not re.fullmatch(capture.pattern, text):
                wrong.append(f"{capture.source} is {text!r}, not like {capture.pattern}")
            self.variables[cells.get(capture.name, capture.name)] = text
        return wrong

    async def _last_row_ids(self, exchange: Exchange) -> tuple[int, int]:
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

    async def _compare_new_rows(
        self, exchange: Exchange, names: Mapping[str, str], before: tuple[int, int]
    ) -> list[str]:
        wrong: list[str] = []
        if exchange.audit:
            wanted = [transcript.substitute(line, names) for line in exchange.audit]
            wanted = [line for line in wanted if line != "nothing"]
            wrong += self._audit(wanted, await databases.audit_rows(self.database, before[0]))
        if "nothing" in exchange.mail:
            query = f"SELECT kind FROM outbox WHERE id > {before[1]:d}"
            if rows := await databases.query(self.database, query):
                wrong.append(f"a mail was written: {rows}")
        return wrong

    def _audit(self, wanted: list[str], rows: list[AuditRow]) -> list[str]:
        left = [line for line in wanted if line != ellipsis_matching.ELLIPSIS]
        foreign: list[str] = []
        for row in rows:
            line = next((w for w in left if self._matches_audit_row(w, row)), None)
            if line is None:
                foreign.append(f"audit: unexpected {self._line(row)}")
            else:
                left.remove(line)
        missing = [f"audit: nothing like {line!r} was written" for line in left]
        return missing + ([] if ellipsis_matching.ELLIPSIS in wanted else foreign)

    def _matches_audit_row(self, line: str, row: AuditRow) -> bool:
        actor, action, target, *fields = line.split()
        expected = {field.strip(",") for field in fields}
        written = set(row.fields.split())
        alike = expected - {ellipsis_matching.ELLIPSIS} <= written
        return (
            row.contract == self.profile.contract
            and (actor == row.actor_kind or self._id(actor) == row.actor_id != 0)
            and ellipsis_matching.matches(action, row.action)
            and self._id(target) == row.target_id
            and (alike if ellipsis_matching.ELLIPSIS in expected else expected == written)
        )

    def _id(self, name: str) -> int:
        text = self.variables.get(name, name)
        return int(text) if text.isdigit() else -1

    def _line(self, row: AuditRow) -> str:
        actor = str(row.actor_id or row.actor_kind)
        return f"{row.contract}: {actor} {row.action} {row.target_id} {row.fields}"

    async def _mails(self, exchange: Exchange, names: Mapping[str, str]) -> list[str]:
        wrong: list[str] = []
        for line in exchange.mail:
            if line == "nothing":
                continue
            address, _, pattern = transcript.substitute(line, names).partition(" ")
            assert self.box is not None, "the preamble needs `mail: on`"
            mail = await self.box.next_mail_to(address)
            text = mailbox.text_of(mail) if mail else ""
            found = mailbox.match_link(pattern, text) if mail else None
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
    method = transcript.substitute(exchange.method, names)
    url = transcript.substitute(exchange.target, names)
    sent = [(name, transcript.substitute(value, names)) for name, value in exchange.headers]
    sent += headers.items()
    body = None if exchange.body is None else transcript.substitute(exchange.body, names)
    typed = any(name.lower() == "content-type" for name, _ in sent)
    if body is None:
        return client.build_request(method, url, headers=sent)
    kind, _, rest = body.partition("\n")
    if kind not in _BODY_FORMATS:
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


async def play(path: Path, database: str, world: World, profile: ContractProfile) -> list[str]:
    """Play a transcript against this database and return everything that went wrong."""
    script = transcript.parse(path)
    settings = databases.settings_for(database)
    return await TranscriptPlayer(script, database, world, profile).run(settings)
