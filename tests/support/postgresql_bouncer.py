"""PgBouncer in transaction mode before a PostgreSQL, with the settings that ``docs/operations.md`` names."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.support import debian_packages
from tests.support import postgresql_guard as guard
from tests.support.server import free_port

PROGRAM = "pgbouncer"
INSTALL_FOLDER = Path(sys.prefix, PROGRAM)
"""Where ``python -m tests.support.postgresql_bouncer`` puts one, for a machine without."""
PACKAGES = (
    "pgbouncer", "libaudit1", "libc6", "libcap-ng0", "libcap2", "libcares2", "libevent-2.1-7t64",
    "libpam0g", "libssl3t64", "libsystemd0",
)  # fmt: skip
RELEASE = "trixie"
MIN_VERSION = (1, 21)
"""The first that knows the prepared statements of a client in transaction mode."""
POOL = 4
PATIENCE_S = 10.0
SETTINGS = {
    "pool_mode": "transaction",
    "max_prepared_statements": "200",
    "ignore_startup_parameters": "jit,lock_timeout,plan_cache_mode",
}


def main() -> int:
    """Fetch one, with the system's libraries that it was built for; without one its tests skip."""
    if version() < MIN_VERSION:
        try:
            debian_packages.unpack(PACKAGES, INSTALL_FOLDER, release=RELEASE)
        except (OSError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"no PgBouncer is to be had: {error}\n")
    return 0


def version() -> tuple[int, int]:
    """Return which PgBouncer there is, on the PATH or where we put it; (0, 0) for none."""
    return max(_version(_installed()), _version(_fetched(INSTALL_FOLDER)))


def command(folder: Path, url: str, address: str, port: int, **changes: str) -> list[str]:
    """Configure one in ``folder``, on an address and before the server of a URL; return its command."""
    parts = urlsplit(url)
    settings = {
        "listen_addr": address,
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "any",
        "default_pool_size": str(POOL),
        "logfile": str(folder / "log"),
        **SETTINGS,
        **changes,
    }
    lines = [f"{name} = {value}" for name, value in settings.items()]
    place = f"* = host={parts.hostname} port={parts.port} user={parts.username}"
    config = folder / "pgbouncer.ini"
    config.write_text("\n".join(["[databases]", place, "[pgbouncer]", *lines]) + "\n")
    return [*_program(folder), str(config)]


def _program(folder: Path) -> list[str]:
    """Return what starts the newer one; ours from a copy in ``folder``, where any user may read."""
    if _version(_installed()) >= MIN_VERSION:
        return _installed()
    return _fetched(Path(shutil.copytree(INSTALL_FOLDER, folder / PROGRAM, symlinks=True)))


def _installed() -> list[str]:
    return [PROGRAM] if shutil.which(PROGRAM) else []


def _fetched(place: Path) -> list[str]:
    program = place / "usr/sbin" / PROGRAM
    loaders = sorted(place.glob("usr/lib/*/ld-linux-*.so.*"))
    if not program.exists() or not loaders:
        return []
    return [str(loaders[0]), "--library-path", str(loaders[0].parent), str(program)]


def _version(command: list[str]) -> tuple[int, int]:
    if not command:
        return (0, 0)
    told = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"PgBouncer (\d+)\.(\d+)", told.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@contextlib.contextmanager
def running_pgbouncer(url: str, **changes: str) -> Iterator[str]:
    """Run one before the server of a URL; yield the URL of the same database through it.

    It has fewer connections to the server than its clients have to it.
    """
    parts = urlsplit(url)
    port = free_port()
    folder, uid = guard._choose_folder_and_user()
    process = subprocess.Popen(
        command(folder, url, "127.0.0.1", port, **changes),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
    )
    try:
        _wait(process, port, folder / "log")
        netloc = f"{parts.username}@127.0.0.1:{port}"
        yield urlunsplit(parts._replace(netloc=netloc))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        process.kill()
        process.wait(PATIENCE_S)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    told = log.read_text() if os.path.exists(log) else ""
    raise RuntimeError(f"PgBouncer does not start\n{told}")


if __name__ == "__main__":
    sys.exit(main())
