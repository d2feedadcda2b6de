"""``dragoman serve``: prepares the database, prints the addresses and runs Granian."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import msgspec
from granian import _signals
from granian._granian import WorkerSignal
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from dragoman import __version__, app, server_key
from dragoman.cli.errors import describe
from dragoman.cli.server.connection_limits import ConnectionMonitor, Limits, OpenRequests
from dragoman.cli.server.drain import stop_accepting
from dragoman.cli.server.heartbeat import Heartbeats, HungWorkerKiller
from dragoman.cli.server.native_output import log_native_output
from dragoman.cli.server.port import reserve_port
from dragoman.cli.server.prepare import announce, prepare
from dragoman.metrics import Metrics
from dragoman.settings import Settings, log_format_of, with_public_url
from dragoman.web import logs
from dragoman.web.logs import log

MAIN_PID_VARIABLE = "_DRAGOMAN_MAIN"
WORKERS_VARIABLE = "_DRAGOMAN_WORKERS"
PORT_VARIABLE = "_DRAGOMAN_PORT"
SECRET_KEY_VARIABLE = "DRAGOMAN_SECRET_KEY"
PUBLIC_URL_VARIABLE = "DRAGOMAN_PUBLIC_URL"
DRAIN_S = 8
"""Time to finish open requests during shutdown (seconds); Docker kills after 10."""
SIGNAL_RETRY_S = 0.5
"""Interval at which SIGTERM is repeated to workers that are still running (seconds)."""
HEADER_TIMEOUT_S = 20
"""Maximum time to receive a request's headers, once they have begun (seconds)."""
MAX_HEADER_BYTES = 32 * 1024
COLLECTION_THRESHOLD = 10_000
"""New objects after which Python searches for cycles, of which requests leave few."""
"""Maximum size of a request's headers (bytes); each connection may buffer this much."""
MAX_CONNECTIONS = 4096
"""Maximum number of connections per worker, idle ones included; others wait in the backlog."""
RESERVED_FILES = 128
"""File descriptors of a worker for anything but connections: database, libraries, pipes."""
ORPHAN_CHECK_S = 1.0
"""Interval at which a worker checks that the main process is alive (seconds)."""
GRANIAN_LOGGING = {
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"handlers": [], "propagate": True}},
}
"""Leaves Granian's lines to the handler of all libraries (``logs.capture_all``)."""
SIGHUP_IGNORED = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
"""Whether the server was started with SIGHUP ignored, as by nohup(1)."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, *(() if SIGHUP_IGNORED else (signal.SIGHUP,)))


def application() -> Any:
    """Return the ASGI application of one worker process; called by Granian."""
    main_pid = int(os.environ.get(MAIN_PID_VARIABLE, "0")) or os.getppid()
    threading.Thread(target=_exit_with_parent, args=(main_pid,), daemon=True).start()
    settings = app.load_settings()
    logs.capture_all(settings.log_level, worker=_worker)
    workers = int(os.environ.get(WORKERS_VARIABLE, "1"))
    port = int(os.environ.get(PORT_VARIABLE, "0"))
    open_requests = OpenRequests(app.create(settings, workers=workers, metrics=_metrics))
    monitor = ConnectionMonitor(port, _limits(settings, workers), open_requests.peers)
    _signals.set_loop_signals = partial(_set_loop_signals, monitor, port)
    _collect_less_often()
    return open_requests


def _collect_less_often() -> None:
    """Leave what was loaded at the start out of Python's search for cycles, and search less often.

    See ``docs/decisions/`` 0037.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTION_THRESHOLD, *gc.get_threshold()[1:])


def _limits(settings: Settings, workers: int) -> Limits:
    return Limits(
        keep_alive_s=settings.keep_alive,
        header_s=HEADER_TIMEOUT_S,
        per_address=settings.connections_per_address,
        exempt=settings.trusted_proxies,
        workers=workers,
    )


def _exit_with_parent(main_pid: int) -> None:
    # A worker whose parent was killed would keep serving, next to the next server on its port.
    while os.getppid() == main_pid:
        time.sleep(ORPHAN_CHECK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(DRAIN_S)  # the parent, which would send SIGKILL, is gone
    os.kill(os.getpid(), signal.SIGKILL)


def _set_loop_signals(
    monitor: ConnectionMonitor, port: int, loop: asyncio.AbstractEventLoop
) -> WorkerSignal:
    """Begin to watch the worker, stop it on the first signal and ignore further ones.

    Replaces Granian's function of this name. With Granian's, a second signal during shutdown makes
    the worker hang until it is killed, and Ctrl-C always causes two: the terminal sends one to the
    process group, the main process sends another.
    """
    event = WorkerSignal()
    signalled = False

    def on_signal() -> None:
        nonlocal signalled
        if not signalled:
            signalled = True
            monitor.stop()
            loop.call_later(stop_accepting(port), event.set)

    for signal_number in STOP_SIGNALS:
        loop.add_signal_handler(signal_number, on_signal)
    if sys.platform == "linux":
        monitor.start()
    if _beat is not None:
        _beat(loop)
    return event


def run(*, host: str | None = None, port: int | None = None, workers: int | None = None) -> None:
    """Serve with the settings of this process, which the arguments override.

    Everything that is written is a line of the log, what ends the start as well; raises SystemExit.
    """
    logs.configure("info", log_format_of())
    logs.capture_all("info")
    try:
        settings = app.load_settings()
        options = {"host": host, "port": port, "workers": workers}
        given = {name: value for name, value in options.items() if value is not None}
        serve(msgspec.structs.replace(settings, **given))
    except Exception as error:
        exit_code = _log_failure(error)
        if exit_code is None:
            raise
        sys.exit(exit_code)


def _log_failure(error: Exception) -> int | None:
    """Log why the server cannot run; return its exit code, or None for an unexpected exception."""
    description = describe(error)
    if description is None:
        return None
    exit_code, lines = description
    for line in lines:
        log.critical("server_failed", message=line)
    return exit_code


def serve(settings: Settings) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, finish the open requests and return.

    Prints the password of the first superadmin, if the database was empty and it was generated.

    Raises:
        SettingsError: a setting is wrong.
        Unavailable: the database is unavailable.
        Invalid: the settings describe a first superadmin that is not valid.
        CliError: the port is not available.
    """
    for signal_number in STOP_SIGNALS:
        signal.signal(signal_number, _exit)
    logs.configure(settings.log_level, settings.log_format)
    logs.capture_all(settings.log_level)
    try:
        with log_native_output(), reserve_port(settings.host, settings.port) as address:
            log.info(
                "server_starting",
                version=__version__,
                pid=os.getpid(),
                workers=settings.workers,
                database="postgresql" if settings.sqlite_path is None else "sqlite",
            )
            try:
                _run_server(settings, address)
            finally:
                log.info("server_stopped")
    finally:
        # The interpreter restores the default handlers when it exits: a further SIGTERM would kill
        # the process in its last moment, with another exit code.
        for signal_number in STOP_SIGNALS:
            signal.signal(signal_number, signal.SIG_IGN)


def _run_server(settings: Settings, address: str) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    public_host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else host  # noqa: S104
    settings = with_public_url(settings, f"http://{public_host}:{settings.port}")
    first_admin = asyncio.run(prepare(settings, f"http://{public_host}:{settings.port}"))
    if first_admin is not None:
        announce(first_admin)
    os.environ[MAIN_PID_VARIABLE] = str(os.getpid())
    # Workers take the key from here, so that none creates another one if the key file is gone.
    os.environ[SECRET_KEY_VARIABLE] = server_key.with_server_key(settings).secret_key.hex()
    os.environ[PUBLIC_URL_VARIABLE] = settings.public_url
    os.environ[WORKERS_VARIABLE] = str(settings.workers)
    os.environ[PORT_VARIABLE] = str(settings.port)
    if sys.platform == "linux":  # not the default since Python 3.14; children inherit the port
        multiprocessing.set_start_method("fork", force=True)
    os.register_at_fork(
        before=_block_signals, after_in_parent=_unblock_signals, after_in_child=_reset_signals
    )
    contracts = {name: f"{settings.public_url}/{name}/" for name in app.enabled_contracts(settings)}
    _Server(
        "dragoman.cli.server.serve:application",
        on_started=partial(
            log.info, "listening", address=f"http://{host}:{settings.port}", contracts=contracts
        ),
        factory=True,
        address=address,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        loop=Loops.uvloop,
        websockets=False,
        workers=settings.workers,
        metrics=app.create_metrics(settings, workers=settings.workers),
        backlog=1024,
        backpressure=max_connections(),
        http1_settings=HTTP1Settings(
            header_read_timeout=_header_read_timeout_ms(settings), max_buffer_size=MAX_HEADER_BYTES
        ),
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN_S,
        log_level=LogLevels.warning,
        log_dictconfig=GRANIAN_LOGGING,
    ).serve()


def _header_read_timeout_ms(settings: Settings) -> int:
    """Return Granian's timeout, which begins with the end of the request before.

    On Linux, the connection monitor ends idle connections and slow headers before it.
    """
    header_s = HEADER_TIMEOUT_S if sys.platform == "linux" else 0
    return (settings.keep_alive + header_s) * 1000


def max_connections() -> int:
    """Return the maximum number of connections per worker, within its file descriptor limit."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, files - RESERVED_FILES))


_beat: Callable[[asyncio.AbstractEventLoop], None] | None = None
"""Begins the heartbeat of this worker process."""
_worker = 0
"""The number of this worker process, from 1."""


_metrics: Metrics | None = None
"""The metrics that this worker process shares with the others; None where it is not forked."""


def _load_with_shared_memory(
    load: Callable[[], Any], heartbeats: Heartbeats, metrics: Metrics, index: int
) -> Any:
    """Load the application of a worker process that counts as ``index``."""
    global _beat, _metrics, _worker  # noqa: PLW0603 - Granian passes nothing to what needs them
    _beat = partial(heartbeats.beat, index)
    metrics.attach(index)
    _metrics, _worker = metrics, index + 1
    return load()


def _log_exceptions(target: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Run a worker; log what ends it, which ``multiprocessing`` would print."""
    try:
        target(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - it is the last to see it
        if _log_failure(error) is None:
            log.critical("bug", exc_info=error)
        sys.exit(1)


class _Server(MPServer):
    """Granian's server with another shutdown; README.md explains the overridden private methods."""

    def __init__(
        self, *args: Any, metrics: Metrics, on_started: Callable[[], None], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._on_started = on_started
        self._shared_metrics = metrics
        self._heartbeats = Heartbeats(self.workers)
        self._killer = HungWorkerKiller(
            self._heartbeats, lambda: [worker.inner for worker in self.wrks]
        )

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> Any:
        if sys.platform == "linux":  # elsewhere workers are not forked and share no memory
            self._heartbeats.reset(idx)
            shared = self._heartbeats, self._shared_metrics
            callback_loader = partial(_load_with_shared_memory, callback_loader, *shared, idx)
        return super()._spawn_worker(idx, partial(_log_exceptions, target), callback_loader)

    def _respawn_workers(self, workers: list[int], *args: Any, **kwargs: Any) -> None:
        for index in workers:
            process = self.wrks[index].inner
            log.error(
                "worker_exited", worker=index + 1, pid=process.pid, **_exit_status(process.exitcode)
            )
        super()._respawn_workers(workers, *args, **kwargs)
        for index in workers:
            log.info("worker_replaced", worker=index + 1, pid=self.wrks[index].inner.pid)

    def startup(self, *args: Any, **kwargs: Any) -> None:
        """Start the workers, and replace those that hang."""
        super().startup(*args, **kwargs)
        for index, worker in enumerate(self.wrks):
            log.info("worker_started", worker=index + 1, pid=worker.inner.pid)
        self._on_started()
        if sys.platform == "linux":
            self._killer.start()

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Mark all workers as stopped on purpose, then stop the server."""
        if not self.interrupt_signal:
            log.info("server_stopping", signal=signal.Signals(args[0]).name if args else "")
        self._killer.stop()
        for worker in self.wrks:
            worker.interrupt_by_parent = True
        super().signal_handler_interrupt(*args, **kwargs)

    # Granian would restart every worker on SIGHUP and keep running.
    signal_handler_reload: Any = None if SIGHUP_IGNORED else signal_handler_interrupt

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop all workers; raises SystemExit(1) if one of them crashed."""
        if self.interrupt_signal:
            self.interrupt_children.clear()
        super().shutdown(exit_code)

    def _stop_workers(self) -> None:
        # A worker whose event loop is not running yet loses the signal, so it is repeated.
        deadline = time.monotonic() + DRAIN_S
        while alive := [worker for worker in self.wrks if worker.is_alive()]:
            late = time.monotonic() > deadline
            for worker in alive:
                worker.kill() if late else worker.terminate()
            alive[0].join(SIGNAL_RETRY_S)
        super()._stop_workers()


# A newly forked worker inherits the main process's handlers, which would not stop it. Until it
# installs its own, it has the default handlers; it has no open requests at that time.


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


def _exit_status(exit_code: int | None) -> dict[str, Any]:
    """Return how a process has ended, as fields of a log line."""
    if exit_code is not None and exit_code < 0:
        return {"signal": signal.Signals(-exit_code).name}
    return {"exit_code": exit_code}
