"""A browser without a screen: keeps the session's cookie, and says where its requests come from."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.support.world import PASSWORD

COOKIE = re.compile(r"__Host-dragoman=([^;]*); Max-Age=(\d+); (.*)")
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


class Browser:
    """Opens pages of the console and sends its forms.

    Args:
        client: talks to the application.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.cookie = ""

    async def open(self, path: str, **headers: str) -> httpx.Response:
        """Open a page below ``/console``; redirects are not followed."""
        return self._kept(
            await self.client.get(f"/console{path}", headers={**self._headers(), **headers})
        )

    async def send(
        self, path: str, form: dict[str, Any], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a form to a path below ``/console``, from a page of the console."""
        sent = {**self._headers(), **(SAME_ORIGIN if headers is None else headers)}
        return self._kept(await self.client.post(f"/console{path}", data=form, headers=sent))

    async def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        """Sign in."""
        return await self.send("/sign-in", {"name": name, "password": password})

    def _headers(self) -> dict[str, str]:
        return {"Cookie": f"__Host-dragoman={self.cookie}"} if self.cookie else {}

    def _kept(self, response: httpx.Response) -> httpx.Response:
        if found := COOKIE.match(response.headers.get("set-cookie", "")):
            self.cookie = found[1] if int(found[2]) else ""
        return response
