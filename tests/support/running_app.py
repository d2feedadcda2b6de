"""A running application inside this process, and a client that talks to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx

from dragoman import app
from dragoman.settings import Settings

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]

BASE = "http://127.0.0.1:8000"
PATIENCE_S = 30.0


@contextlib.asynccontextmanager
async def lifespan(application: Application) -> AsyncGenerator[None]:
    """Start an application up and shut it down, in a task of its own, as a server does."""
    asked: asyncio.Queue[Message] = asyncio.Queue()
    answered: asyncio.Queue[Message] = asyncio.Queue()
    scope: Message = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}
    scope["state"] = {}
    task = asyncio.ensure_future(application(scope, asked.get, answered.put))
    try:
        await _send_lifespan_event(task, asked, answered, "startup")
        try:
            yield
        finally:
            await _send_lifespan_event(task, asked, answered, "shutdown")
    finally:
        if not task.done():
            _, waiting = await asyncio.wait({task}, timeout=PATIENCE_S)
            if waiting:
                task.cancel()
        await task


async def _send_lifespan_event(
    task: asyncio.Future[None],
    asked: asyncio.Queue[Message],
    answered: asyncio.Queue[Message],
    what: str,
) -> None:
    await asked.put({"type": f"lifespan.{what}"})
    answer = asyncio.ensure_future(answered.get())
    await asyncio.wait({task, answer}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        answer.cancel()
        if task.done():
            await task
        raise RuntimeError(f"the application did not answer to its {what}")
    message = answer.result()
    if message["type"] != f"lifespan.{what}.complete":
        raise RuntimeError(f"{message['type']}: {message.get('message', '')}")


@contextlib.asynccontextmanager
async def running_client(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """Run the application with these settings and yield a client of it."""
    application = app.create(settings)
    async with lifespan(application), client_for(application) as client:
        yield client


def client_for(application: Application, *, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """Return a client that calls an application directly, from the given address."""
    transport = httpx.ASGITransport(app=application, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=BASE, timeout=PATIENCE_S)
