"""The server: prepare the database, greet, and hand over to Granian."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from typing import Any, NoReturn

import msgspec
from granian import _signals
from granian._granian import WorkerSignal
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from dragoman import app, server_key
from dragoman.cli.server.drain import last_calls
from dragoman.cli.server.port import claimed
from dragoman.cli.session import stands_at
from dragoman.jobs.bootstrap import Welcome
from dragoman.settings import Settings, load

MAIN = "_DRAGOMAN_MAIN"
WORKERS = "_DRAGOMAN_WORKERS"
LISTENS = "_DRAGOMAN_PORT"
KEY = "DRAGOMAN_SECRET_KEY"
PUBLIC_URL = "DRAGOMAN_PUBLIC_URL"
DRAIN_S = 8
"""What is under way at the end has so many seconds; Docker kills after 10."""
INSIST_EVERY_S = 0.5
HEADERS_MS = 20_000
"""So long a request's headers may take, and a connection may be idle (milliseconds)."""
HEADERS_SIZE = 64 * 1024
"""No request's headers need more (bytes); as much may be held for every connection."""
CONNECTIONS = 4096
"""So many connections a worker holds, idle and slow ones included; more wait to be accepted."""
FILES = 128
"""What a worker opens besides connections: the database, libraries, pipes."""
ORPHAN_EVERY_S = 1.0
NOHUP = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
"""Whether we were started to outlive our terminal, as nohup(1) does it."""
ENDS = (signal.SIGTERM, signal.SIGINT, *(() if NOHUP else (signal.SIGHUP,)))


def application() -> Any:
    """Return the ASGI application of one worker process (Granian calls this)."""
    main = int(os.environ.get(MAIN, "0")) or os.getppid()
    threading.Thread(target=_end_with, args=(main,), daemon=True).start()
    _signals.set_loop_signals = _told_once
    return app.create(load(), workers=int(os.environ.get(WORKERS, "1")))


def _end_with(main: int) -> None:
    # A worker whose parent was killed would go on answering, beside the next server on its port.
    while os.getppid() == main:
        time.sleep(ORPHAN_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(DRAIN_S)  # nobody else is left to insist
    os.kill(os.getpid(), signal.SIGKILL)


def _told_once(loop: asyncio.AbstractEventLoop) -> WorkerSignal:
    """Let signals end a worker, as Granian does it, but only the first of them.

    A second one while requests are under way makes Granian hang until it is killed, and Ctrl-C
    always sends two: the terminal's, to the whole group, and the main process's own.
    """
    event = WorkerSignal()
    told = False

    def tell() -> None:
        nonlocal told
        if not told:
            told = True
            loop.call_later(last_calls(int(os.environ.get(LISTENS, "0"))), event.set)

    for name in ENDS:
        loop.add_signal_handler(name, tell)
    return event


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; then answer what is under way, end, and return.

    Prints a new first superadmin, once, and the address of every contract.
    Raises SettingsError, Unavailable, Invalid, and Told for an address that cannot be had.
    """
    for name in ENDS:
        signal.signal(name, _end)
    with claimed(host, port) as address:
        _listen(settings, host, address, port, workers)


def _listen(settings: Settings, host: str, address: str, port: int, workers: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    if settings.public_url == Settings().public_url and PUBLIC_URL not in os.environ:
        near = "127.0.0.1" if host in {"0.0.0.0", "::"} else shown  # noqa: S104
        settings = msgspec.structs.replace(settings, public_url=f"http://{near}:{port}")
    welcome = asyncio.run(_prepare(settings))
    _greet(settings, welcome, f"http://{shown}:{port}")
    os.environ[MAIN] = str(os.getpid())
    # A worker that begins later finds the key here, and never makes another one where its file is away.
    os.environ[KEY] = server_key.with_key(settings).secret_key.hex()
    os.environ[PUBLIC_URL] = settings.public_url
    os.environ[WORKERS] = str(workers)
    os.environ[LISTENS] = str(port)
    if sys.platform == "linux":  # later Pythons do otherwise, and the address is for our children
        multiprocessing.set_start_method("fork", force=True)
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_start_anew)
    _Server(
        "dragoman.cli.server.serve:application",
        factory=True,
        address=address,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        loop=Loops.uvloop,
        websockets=False,
        workers=workers,
        backlog=1024,
        backpressure=connections(),
        http1_settings=HTTP1Settings(header_read_timeout=HEADERS_MS, max_buffer_size=HEADERS_SIZE),
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN_S,
        log_level=LogLevels.warning,
    ).serve()


def connections() -> int:
    """Return how many connections a worker holds, within the files that it may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return CONNECTIONS
    return max(1, min(CONNECTIONS, files - FILES))


async def _prepare(settings: Settings) -> Welcome | None:
    await stands_at(settings)
    return await app.prepare(settings)


class _Server(MPServer):
    """Granian, for which a worker that ends at Ctrl-C, as the whole group does, is no fault."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Note that the end was asked for."""
        for worker in self.wrks:
            worker.interrupt_by_parent = True
        super().signal_handler_interrupt(*args, **kwargs)

    # Granian itself would replace every worker at SIGHUP, for seconds each, and live on.
    signal_handler_reload: Any = None if NOHUP else signal_handler_interrupt

    def shutdown(self, exit_code: int = 0) -> None:
        """End every worker; raises SystemExit(1) after a fault."""
        if self.interrupt_signal:
            self.interrupt_children.clear()
        super().shutdown(exit_code)

    def _stop_workers(self) -> None:
        # A signal is lost on a worker whose loop does not run yet, so it is told again.
        end = time.monotonic() + DRAIN_S
        while alive := [worker for worker in self.wrks if worker.is_alive()]:
            late = time.monotonic() > end
            for worker in alive:
                worker.kill() if late else worker.terminate()
            alive[0].join(INSIST_EVERY_S)
        super()._stop_workers()


# A worker that was just forked still has our handlers, which would swallow the signal that is
# to end it: until it has its own, it dies of it. Nothing of its work is under way by then.


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)


def _start_anew() -> None:
    for name in ENDS:
        signal.signal(name, signal.SIG_DFL)
    _release()


def _end(*_: Any) -> NoReturn:
    sys.exit(0)


def _greet(settings: Settings, welcome: Welcome | None, address: str) -> None:
    lines: list[str] = []
    if welcome is not None:
        lines += ["The first superadmin was created:", f"  username: {welcome.username}"]
        if welcome.generated:
            lines += [f"  password: {welcome.password}", "  (shown once; it stays valid)"]
    lines += ["Contracts:"]
    lines += [f"  {name}: {settings.public_url}/{name}/" for name in app.contracts_of(settings)]
    lines += [f"Listening at {address} (Ctrl-C stops)"]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
