"""Where secrets are tried: a running application with everybody in it, its rows, and a purse."""

from __future__ import annotations

from typing import Any

import httpx

from dragoman.settings import Settings
from tests.attack.credentials import Credentials, Operation
from tests.support.rows import Rows
from tests.support.world import World

BODY = {"username": "eve", "email": "eve@evil.test", "password": "violet-Kettle-42"}
PROBE_PATHS = {
    "wiwebb": "/wiwebb/api/v1/auth/user/",
    "accounts": "/accounts/api/users",
    "binacle": "/binacle/api/users/otto@acme.test",
    "wekan": "/wekan/api/user",
    "vsay": "/vsay/auth/me",
}
"""A place at each contract that any live credential of it opens."""


class AttackedApp:
    """A running application, its rows, and who lives there."""

    def __init__(
        self, client: httpx.AsyncClient, rows: Rows, world: World, settings: Settings
    ) -> None:
        self.client = client
        self.rows = rows
        self.world = world
        self.settings = settings

    async def request(
        self, operation: Operation, headers: Any, params: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a request with a body that would do something."""
        return await self.client.request(
            operation.method, operation.path, headers=headers, params=params, json=BODY
        )

    def probe_of(self, contract: str) -> Operation:
        """Return what any live credential of a contract opens, or is refused by anything but 401."""
        return Operation(
            contract, "DELETE" if contract == "binacle" else "GET", PROBE_PATHS[contract]
        )


class AppWithCredentials(AttackedApp):
    """The same with a purse."""

    def __init__(self, attacked_app: AttackedApp, credentials: Credentials) -> None:
        super().__init__(
            attacked_app.client, attacked_app.rows, attacked_app.world, attacked_app.settings
        )
        self.credentials = credentials
