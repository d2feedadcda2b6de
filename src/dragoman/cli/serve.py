"""The server: prepare the database, greet, and hand over to Granian."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import msgspec

from dragoman import app
from dragoman.actions.start import Welcome
from dragoman.settings import Settings, load

WORKERS = "_DRAGOMAN_WORKERS"
PUBLIC_URL = "DRAGOMAN_PUBLIC_URL"
DRAIN_S = 10


def application() -> Any:
    """Return the ASGI application of one worker process (Granian calls this)."""
    return app.create(load(), workers=int(os.environ.get(WORKERS, "1")))


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; then end what runs and return.

    Prints a new first superadmin, once, and the address of every contract.
    """
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.log import LogLevels
    from granian.server import Server

    if settings.public_url == Settings().public_url:
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104
        settings = msgspec.structs.replace(settings, public_url=f"http://{shown}:{port}")
    welcome = asyncio.run(app.prepare(settings))
    _greet(settings, welcome)
    os.environ[PUBLIC_URL] = settings.public_url
    os.environ[WORKERS] = str(workers)
    Server(
        "dragoman.cli.serve:application",
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        loop=Loops.uvloop,
        websockets=False,
        workers=workers,
        backlog=1024,
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN_S,
        log_level=LogLevels.warning,
    ).serve()


def _greet(settings: Settings, welcome: Welcome | None) -> None:
    lines: list[str] = []
    if welcome is not None:
        lines += ["The first superadmin was created:", f"  username: {welcome.username}"]
        if welcome.generated:
            lines += [f"  password: {welcome.password}", "  (shown once; it stays valid)"]
    lines += ["Contracts:"]
    lines += [f"  {name}: {settings.public_url}/{name}/" for name in app.contracts_of(settings)]
    lines += [f"Ready at {settings.public_url} (Ctrl-C stops)"]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
