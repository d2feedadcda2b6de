"""The machine's clock is set forward a day, and back again by more: nothing breaks, or comes back.

A program cannot set the clock, so the server runs with one that can be shifted while it runs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragoman import dialects
from tests.support.clients import CLIENTS, Person, RefusedResponse
from tests.support.databases import audit_rows, query
from tests.support.processes import environment
from tests.support.server import running_server
from tests.support.world import MISSING_USER_ID, World, WorldTenant

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

DAY_S, HOUR_S = 86_400, 3_600
RATE = 40
SHORT = {"binacle", "vsay"}
"""Their credentials live for an hour, those of the others for weeks."""
SHIFTED = """
import os
import time

_where, _time, _time_ns = os.environ["SHIFTED_CLOCK"], time.time, time.time_ns


def _by():
    with open(_where) as file:
        return int(file.read())


time.time = lambda: _time() + _by()
time.time_ns = lambda: _time_ns() + _by() * 10**9
"""


class ShiftedClock:
    """The time of day of a server that is started with ``settings``."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        (place := folder / "shifted").mkdir()
        (place / "sitecustomize.py").write_text(SHIFTED)
        paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.settings = {"SHIFTED_CLOCK": str(self._file), "PYTHONPATH": os.pathsep.join(paths)}
        self.set(0)

    def set(self, seconds: int) -> None:
        """Let it be so much ahead of the machine's."""
        draft = self._file.with_suffix(".new")
        draft.write_text(str(seconds))
        draft.replace(self._file)


class ClockClients:
    """Whom the clock concerns: who is signed in, who was, and who guesses."""

    def __init__(self, http: httpx.AsyncClient, world: World) -> None:
        self._http = http
        self._world = world
        self.ended: list[tuple[str, str]] = []
        """Contract and credential of whoever was cut off."""

    def person(self, name: str) -> Person:
        """Return somebody as a client knows it."""
        found = self._world.people[name]
        return Person(found.id, found.public_id, found.username, found.email, found.password)

    def at(self, contract: str, credential: str = "") -> Any:
        """Return a client of a contract."""
        client = CLIENTS[contract](self._http, "prefix", credential)
        if contract == "wiwebb":
            client.tenant = self._world.tenants["acme"].id
        return client

    async def sign_in_everywhere(self, name: str) -> dict[str, str]:
        """Sign somebody in everywhere; return the credentials by contract."""
        person = self.person(name)
        return {each: await self.at(each).sign_in(person) for each in dialects.NAMES}

    async def accepted_credentials(self, credentials: dict[str, str]) -> dict[str, bool]:
        """Say which credentials are taken; an answer that says neither is an error."""
        nobody = Person(MISSING_USER_ID, "x" * 17, "nobody", "nobody@nowhere.test", "")
        taken: dict[str, bool] = {}
        for name, credential in credentials.items():
            try:
                await self.at(name, credential).probe(nobody)
            except RefusedResponse as error:
                if error.status not in {401, 403, 404}:
                    raise
                taken[name] = error.status != 401
            else:
                taken[name] = True
        return taken

    async def revoke_three(self) -> None:
        """Switch one off, set the password of another, sign a third out."""
        root = self.at("wiwebb", self._world.people["root"].token)
        await root.switch(self.person("otto"), active=False)
        await root.set_password(self.person("gus"), "another-Kettle-43")
        for name in ("otto", "gus"):
            self.ended += self._world.people[name].tokens.items()
        token = await self.at("wiwebb").sign_in(self.person("mia"))
        await self.at("wiwebb", token).request("POST", "/api/v1/auth/logout/", {})
        self.ended.append(("wiwebb", token))

    async def revoked_but_accepted(self) -> list[str]:
        """Return the contracts at which somebody who was cut off is taken again."""
        return [
            name for name, c in self.ended if (await self.accepted_credentials({name: c}))[name]
        ]

    async def change(self, number: int) -> int:
        """Make a user and change it; return its id."""
        root = self.at("wiwebb", self._world.people["root"].token)
        made = Person(0, "", f"late{number}", f"late{number}@acme.test", "kettle-Violet-1")
        await root.create(made, None)
        page = await root.request("GET", f"/api/v1/users/?search=late{number}")
        made.id = page["results"][0]["id"]
        await root.rename(made, "Late", str(number))
        return made.id

    async def guess(self, name: str) -> int:
        """Guess a password until that is stopped; return for how many seconds."""
        person = self.person(name)
        person.password = "wrong-Kettle-42"
        return await self._until_limited(person, 11)

    async def flood_until_limited(self) -> int:
        """Ask without a credential until that is stopped; return for how many seconds."""
        return await self._until_limited(self.person("ada"), RATE + 1)

    async def _until_limited(self, person: Person, most: int) -> int:
        for _ in range(most):
            body = {"username": person.username, "password": person.password}
            answer = await self._http.post("/wiwebb/api/v1/auth/login/", json=body)
            if answer.status_code == 429:
                return int(answer.headers["Retry-After"])
            assert answer.status_code in {200, 400}, answer.text
        raise AssertionError("it was never stopped")


def test_the_clock_jumps(seeded_database: tuple[str, World], tmp_path: Path) -> None:
    database, world = seeded_database
    clock = ShiftedClock(tmp_path)
    settings = {**environment(database), **clock.settings}
    settings["DRAGOMAN_ANONYMOUS_RATE"] = f"{RATE}/minute"
    with running_server(settings, tmp_path) as server:
        asyncio.run(jumps(server.url, clock, database, world))
    assert '"bug"' not in server.output(), server.output()


async def jumps(url: str, clock: ShiftedClock, database: str, world: World) -> None:
    """Live through both jumps."""
    async with clock_clients(url, world) as callers:
        everywhere = dict.fromkeys(dialects.NAMES, True)
        early = await callers.sign_in_everywhere("olga")
        await callers.revoke_three()
        assert await callers.accepted_credentials(early) == everywhere
        assert await callers.revoked_but_accepted() == []
        ids = [await callers.change(1)]

        clock.set(DAY_S)
        assert await callers.accepted_credentials(early) == {
            name: name not in SHORT for name in dialects.NAMES
        }
        late = await callers.sign_in_everywhere("olga")
        assert await callers.accepted_credentials(late) == everywhere
        assert await callers.revoked_but_accepted() == []
        ids.append(await callers.change(2))
        assert 1 <= await callers.guess("mia") <= 60
        assert 1 <= await callers.flood_until_limited() <= 60

        clock.set(-HOUR_S)
        assert await callers.accepted_credentials(late) == everywhere, (
            "given by a clock that ran ahead"
        )
        assert await callers.revoked_but_accepted() == []
        again = await callers.sign_in_everywhere("mia")
        assert await callers.accepted_credentials(again) == everywhere, (
            "no limit lasts as long as the jump"
        )
        assert 1 <= await callers.guess("vic") <= 60
        ids.append(await callers.change(3))

        clock.set(HOUR_S // 2)
        assert await callers.accepted_credentials(again) == {
            name: name not in SHORT for name in dialects.NAMES
        }
        assert await callers.revoked_but_accepted() == []
        ids.append(await callers.change(4))
    assert ids == sorted(set(ids))
    rows = await audit_rows(database)
    made = [row.target_id for row in rows if row.action == "users.create"]
    assert made[-4:] == ids, "the history is in the order of what happened"
    times = [row[0] for row in await query(database, "SELECT at FROM audit ORDER BY id")]
    assert times != sorted(times), "the clock did jump"


@asynccontextmanager
async def clock_clients(url: str, world: World) -> AsyncIterator[ClockClients]:
    """Open a client of a server."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        yield ClockClients(http, world)


@pytest.mark.parametrize("status", [200, 401, 404, 429, 500])
def test_what_the_probe_sees(status: int) -> None:
    """By it all of the above is seen: it takes no fault, and no limit, for an answer."""

    async def ask() -> set[bool]:
        answer = httpx.MockTransport(lambda _: httpx.Response(status, json={}))
        async with httpx.AsyncClient(transport=answer, base_url="http://nowhere.test") as http:
            callers = ClockClients(http, World({}, {"acme": WorldTenant(1, "", "ACME", "acme")}))
            return set(
                (
                    await callers.accepted_credentials(dict.fromkeys(dialects.NAMES, "token"))
                ).values()
            )

    if status in {429, 500}:
        with pytest.raises(RefusedResponse):
            asyncio.run(ask())
    else:
        assert asyncio.run(ask()) == {status != 401}
