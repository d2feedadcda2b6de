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
from dragoman.cli.server.drain import stop_accepting
from dragoman.cli.server.port import reserve_port
from dragoman.cli.session import database_version
from dragoman.jobs.bootstrap import FirstAdmin
from dragoman.settings import Settings, load

MAIN_PID_VARIABLE = "_DRAGOMAN_MAIN"
WORKERS_VARIABLE = "_DRAGOMAN_WORKERS"
PORT_VARIABLE = "_DRAGOMAN_PORT"
SECRET_KEY_VARIABLE = "DRAGOMAN_SECRET_KEY"
PUBLIC_URL_VARIABLE = "DRAGOMAN_PUBLIC_URL"
DRAIN_S = 8
"""What is under way at the end has so many seconds; Docker kills after 10."""
SIGNAL_RETRY_S = 0.5
HEADER_TIMEOUT_MS = 20_000
"""So long a request's headers may take, and a connection may be idle (milliseconds)."""
MAX_HEADER_BYTES = 64 * 1024
"""No request's headers need more (bytes); as much may be held for every connection."""
MAX_CONNECTIONS = 4096
"""So many connections a worker holds, idle and slow ones included; more wait to be accepted."""
RESERVED_FILES = 128
"""What a worker opens besides connections: the database, libraries, pipes."""
ORPHAN_CHECK_S = 1.0
SIGHUP_IGNORED = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
"""Whether we were started to outlive our terminal, as nohup(1) does it."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, *(() if SIGHUP_IGNORED else (signal.SIGHUP,)))


def application() -> Any:
    """Return the ASGI application of one worker process (Granian calls this)."""
    main_pid = int(os.environ.get(MAIN_PID_VARIABLE, "0")) or os.getppid()
    threading.Thread(target=_exit_with_parent, args=(main_pid,), daemon=True).start()
    _signals.set_loop_signals = _set_loop_signals
    return app.create(load(), workers=int(os.environ.get(WORKERS_VARIABLE, "1")))


def _exit_with_parent(main_pid: int) -> None:
    # A worker whose parent was killed would go on answering, beside the next server on its port.
    while os.getppid() == main_pid:
        time.sleep(ORPHAN_CHECK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(DRAIN_S)  # nobody else is left to insist
    os.kill(os.getpid(), signal.SIGKILL)


def _set_loop_signals(loop: asyncio.AbstractEventLoop) -> WorkerSignal:
    """Let signals end a worker, as Granian does it, but only the first of them.

    A second one while requests are under way makes Granian hang until it is killed, and Ctrl-C
    always sends two: the terminal's, to the whole group, and the main process's own.
    """
    event = WorkerSignal()
    signalled = False

    def on_signal() -> None:
        nonlocal signalled
        if not signalled:
            signalled = True
            loop.call_later(stop_accepting(int(os.environ.get(PORT_VARIABLE, "0"))), event.set)

    for signal_number in STOP_SIGNALS:
        loop.add_signal_handler(signal_number, on_signal)
    return event


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; then answer what is under way, end, and return.

    Prints a new first superadmin, once, and the address of every contract.
    Raises SettingsError, Unavailable, Invalid, and Told for an address that cannot be had.
    """
    for signal_number in STOP_SIGNALS:
        signal.signal(signal_number, _exit)
    with reserve_port(host, port) as address:
        _run_server(settings, host, address, port, workers)


def _run_server(settings: Settings, host: str, address: str, port: int, workers: int) -> None:
    display_host = f"[{host}]" if ":" in host else host
    if settings.public_url == Settings().public_url and PUBLIC_URL_VARIABLE not in os.environ:
        public_host = "127.0.0.1" if host in {"0.0.0.0", "::"} else display_host
        settings = msgspec.structs.replace(settings, public_url=f"http://{public_host}:{port}")
    first_admin = asyncio.run(_prepare(settings))
    _print_banner(settings, first_admin, f"http://{display_host}:{port}")
    os.environ[MAIN_PID_VARIABLE] = str(os.getpid())
    # A worker that begins later finds the key here, and never makes another one where its file is away.
    os.environ[SECRET_KEY_VARIABLE] = server_key.with_server_key(settings).secret_key.hex()
    os.environ[PUBLIC_URL_VARIABLE] = settings.public_url
    os.environ[WORKERS_VARIABLE] = str(workers)
    os.environ[PORT_VARIABLE] = str(port)
    if sys.platform == "linux":  # later Pythons do otherwise, and the address is for our children
        multiprocessing.set_start_method("fork", force=True)
    os.register_at_fork(
        before=_block_signals, after_in_parent=_unblock_signals, after_in_child=_reset_signals
    )
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
        backpressure=max_connections(),
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_MS, max_buffer_size=MAX_HEADER_BYTES
        ),
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN_S,
        log_level=LogLevels.warning,
    ).serve()


def max_connections() -> int:
    """Return how many connections a worker holds, within the files that it may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, files - RESERVED_FILES))


async def _prepare(settings: Settings) -> FirstAdmin | None:
    await database_version(settings)
    return await app.migrate_and_bootstrap(settings)


class _Server(MPServer):
    """Granian, for which a worker that ends at Ctrl-C, as the whole group does, is no fault."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Note that the end was asked for."""
        for worker in self.wrks:
            worker.interrupt_by_parent = True
        super().signal_handler_interrupt(*args, **kwargs)

    # Granian itself would replace every worker at SIGHUP, for seconds each, and live on.
    signal_handler_reload: Any = None if SIGHUP_IGNORED else signal_handler_interrupt

    def shutdown(self, exit_code: int = 0) -> None:
        """End every worker; raises SystemExit(1) after a fault."""
        if self.interrupt_signal:
            self.interrupt_children.clear()
        super().shutdown(exit_code)

    def _stop_workers(self) -> None:
        # A signal is lost on a worker whose loop does not run yet, so it is told again.
        deadline = time.monotonic() + DRAIN_S
        while alive := [worker for worker in self.wrks if worker.is_alive()]:
            late = time.monotonic() > deadline
            for worker in alive:
                worker.kill() if late else worker.terminate()
            alive[0].join(SIGNAL_RETRY_S)
        super()._stop_workers()


# A worker that was just forked still has our handlers, which would swallow the signal that is
# to end it: until it has its own, it dies of it. Nothing of its work is under way by then.


def _block_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def _unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _reset_signals() -> None:
    for signal_number in STOP_SIGNALS:
        signal.signal(signal_number, signal.SIG_DFL)
    _unblock_signals()


def _exit(*_: Any) -> NoReturn:
    sys.exit(0)


def _print_banner(settings: Settings, first_admin: FirstAdmin | None, address: str) -> None:
    lines: list[str] = []
    if first_admin is not None:
        lines += ["The first superadmin was created:", f"  username: {first_admin.username}"]
        if first_admin.generated:
            lines += [f"  password: {first_admin.password}", "  (shown once; it stays valid)"]
    lines += ["Contracts:"]
    lines += [
        f"  {name}: {settings.public_url}/{name}/" for name in app.enabled_contracts(settings)
    ]
    lines += [f"Listening at {address} (Ctrl-C stops)"]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
