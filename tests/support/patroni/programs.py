"""The programs of a Patroni cluster: fetched once by ``make faults``, and what is missing of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import debian_packages, postgresql_bouncer
from tests.support.patroni import network
from tests.support.postgresql import VARIABLE

PATRONI_FOLDER = Path(sys.prefix, "patroni")
"""Libraries of its own: nothing of them is installed into the tests' environment."""
ETCD_FOLDER = Path(sys.prefix, "etcd")
ETCD_RELEASE = "trixie"
LOCK = Path(__file__).with_name("requirements.lock")
INSTALL_S = 300


def main() -> int:
    """Fetch what is not here yet; whatever cannot be had is reported, and its test skips."""
    for present, fetch in ((_has_etcd(), _fetch_etcd), (_has_patroni(), _fetch_patroni)):
        if not present:
            try:
                fetch()
            except (OSError, subprocess.SubprocessError) as error:
                sys.stderr.write(f"{fetch.__doc__} is not available: {error}\n")
    if reason := missing():
        sys.stderr.write(f"*** no failover of a Patroni cluster is tested: {reason} ***\n")
    return 0


def missing() -> str:
    """Return what keeps a cluster from running here; empty if nothing does."""
    if os.environ.get(VARIABLE):
        return f"{VARIABLE} names a server that tests must not break"
    if not _has_patroni():
        return "no Patroni (make faults fetches one)"
    if not _has_etcd():
        return "no etcd (make faults fetches one)"
    if postgresql_bouncer.version() < postgresql_bouncer.MIN_VERSION:
        return "no PgBouncer >= 1.21 (make faults fetches one)"
    return network.missing()


def etcd() -> str:
    """Return the path of the installed program, else of the one that was fetched."""
    return shutil.which("etcd") or str(ETCD_FOLDER / "usr/bin/etcd")


def _has_etcd() -> bool:
    try:
        return not subprocess.run(
            [etcd(), "--version"], capture_output=True, check=False
        ).returncode
    except OSError:
        return False


def _has_patroni() -> bool:
    installed = PATRONI_FOLDER / LOCK.name
    return installed.exists() and installed.read_bytes() == LOCK.read_bytes()


def _fetch_etcd() -> None:
    """etcd"""
    debian_packages.unpack(("etcd-server",), ETCD_FOLDER, release=ETCD_RELEASE)


def _fetch_patroni() -> None:
    """Patroni"""
    shutil.rmtree(PATRONI_FOLDER, ignore_errors=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check",
         "--require-hashes", "--target", str(PATRONI_FOLDER), "-r", str(LOCK)],
        check=True,
        timeout=INSTALL_S,
    )  # fmt: skip
    shutil.copyfile(
        LOCK, PATRONI_FOLDER / LOCK.name
    )  # last: an installation that broke off is none


if __name__ == "__main__":
    sys.exit(main())
