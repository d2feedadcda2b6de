"""Where secrets are tried: a running application with everybody in it, its rows, and a purse."""

from __future__ import annotations

from typing import Any

import httpx

from dragoman.settings import Settings
from tests.attack.purse import Operation, Purse
from tests.authorization.rows import Rows
from tests.support.world import World

BODY = {"username": "eve", "email": "eve@evil.test", "password": "violet-Kettle-42"}
WHERE = {
    "wiwebb": "/wiwebb/api/v1/auth/user/",
    "accounts": "/accounts/api/users",
    "binacle": "/binacle/api/users/otto@acme.test",
    "wekan": "/wekan/api/user",
    "vsay": "/vsay/auth/me",
}
"""A place at each contract that any live credential of it opens."""


class Stage:
    """A running application, its rows, and who lives there."""

    def __init__(
        self, client: httpx.AsyncClient, rows: Rows, world: World, settings: Settings
    ) -> None:
        self.client = client
        self.rows = rows
        self.world = world
        self.settings = settings

    async def ask(
        self, operation: Operation, headers: Any, params: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a request with a body that would do something."""
        return await self.client.request(
            operation.method, operation.path, headers=headers, params=params, json=BODY
        )

    def at(self, contract: str) -> Operation:
        """Return what any live credential of a contract opens, or is refused by anything but 401."""
        return Operation(contract, "DELETE" if contract == "binacle" else "GET", WHERE[contract])


class Bench(Stage):
    """The same with a purse."""

    def __init__(self, stage: Stage, purse: Purse) -> None:
        super().__init__(stage.client, stage.rows, stage.world, stage.settings)
        self.purse = purse
