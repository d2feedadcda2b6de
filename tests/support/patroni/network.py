"""Machines of a network that exists inside one process tree, and can be cut off.

``command`` starts a process in namespaces of its own: of the network, so that nothing of the
system's is touched; of processes, so that all of them end with it; and of users, so that root's
rights are not needed; root is another user there, because PostgreSQL does not run as root.
What runs there makes a ``Network``, a bridge on which each ``Host`` is one more network namespace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tests.support import postgresql_guard as guard

PREFIX = "192.0.2"
"""Addresses for documentation (RFC 5737): they belong to no machine elsewhere."""
GATEWAY = f"{PREFIX}.1"
BRIDGE = "machines"
CHECK_S = 20
INIT = '"$@"; exit $?'
"""The first process must reap what the others leave: a dead PostgreSQL would seem to be alive."""
UNMAPPED_UID = 65534
"""As whose a user namespace shows the files of all users outside."""


def command(words: list[str]) -> list[str]:
    """Return the command line that runs ``words`` in namespaces of their own."""
    uid, gid = (os.geteuid(), os.getegid()) if os.geteuid() else (_plain_user(),) * 2
    users = ["--user", f"--map-user={uid}", f"--map-group={gid}", "--keep-caps"]
    others = ["--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    return ["unshare", *users, *others, "sh", "-c", INIT, "sh", *words]


def missing() -> str:
    """Return why there can be no such network here; empty if there can."""
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program, path=_path()) is None:
            return f"no program {program} for network namespaces"
    # The same steps as below, on one machine: each may be forbidden by itself.
    steps = (
        f"ip link add {BRIDGE} type bridge && unshare --net sh -c '"
        "ip link add one type veth peer name other && nsenter --net=/proc/self/ns/net true'"
    )
    try:
        done = subprocess.run(command(["sh", "-c", steps]), check=False, capture_output=True,
                              text=True, timeout=CHECK_S, env=_environment())  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"network namespaces take longer than {CHECK_S} s here"
    return f"network namespaces are not allowed: {done.stderr.strip()}" if done.returncode else ""


def _plain_user() -> int:
    """Return a user that the system knows by name, as initdb wants to; not that of unmapped files."""
    return next(uid for uid in (*guard._plain_users(), 1) if uid != UNMAPPED_UID)


class Host:
    """One machine: it has an address, and runs processes that see its network alone."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.address = f"{PREFIX}.{number}"
        ready = "ip link set lo up && echo ready && exec sleep infinity"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", ready],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=_environment(),
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0",
            "netns", str(self._holder.pid))  # fmt: skip
        _ip("link", "set", name, "master", BRIDGE, "up")
        for arguments in (("address", "add", f"{self.address}/24", "dev", "eth0"),
                          ("link", "set", "eth0", "up")):  # fmt: skip
            subprocess.run([*self._enter(), "ip", *arguments], check=True, env=_environment())

    def start(
        self, words: list[str], log: IO[bytes], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a process on this machine."""
        return subprocess.Popen(
            [*self._enter(), *words],
            cwd=Path("/"),
            env={**_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def cut(self) -> None:
        """Take the machine off the network: nothing reaches it, and its processes go on."""
        _ip("link", "set", self.name, "down")

    def mend(self) -> None:
        """Put it back on the network."""
        _ip("link", "set", self.name, "up")

    def _enter(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net"]


class Network:
    """The bridge between the machines; its own address is where the process that made it is."""

    def __init__(self) -> None:
        _ip("link", "set", "lo", "up")
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        self._hosts = 0

    def host(self, name: str) -> Host:
        """Return a new machine on it."""
        self._hosts += 1
        return Host(name, 10 + self._hosts)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, env=_environment())


def _path() -> str:
    """Programs of the network are where the path of a plain user often does not lead."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _environment() -> dict[str, str]:
    return {"PATH": _path(), "LC_ALL": "C", "TZ": "UTC"}
