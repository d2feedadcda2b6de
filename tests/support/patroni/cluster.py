"""Two machines with PostgreSQL, Patroni and PgBouncer; etcd has its third member beside them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.support import postgresql_bouncer
from tests.support import postgresql_guard as guard
from tests.support.patroni import network, programs
from tests.support.patroni.network import GATEWAY, Host, Network
from tests.support.postgresql_replication import kill_server

POSTGRESQL, PGBOUNCER, PATRONI, ETCD, ETCD_PEERS = 5432, 6432, 8008, 2379, 2380
"""Ports of each machine."""
PATIENCE_S = 60.0
USER = "dragoman"
CLUSTER_SETTINGS: dict[str, Any] = {
    "ttl": 20,
    "loop_wait": 5,
    "retry_timeout": 5,
    "synchronous_mode": True,
    "primary_start_timeout": 0,
    "postgresql": {"use_pg_rewind": True},
}
"""What ``docs/operations.md`` says to set in Patroni; a house test compares them."""
MAX_PAUSE_S = {"killed": 15.0, "lost": CLUSTER_SETTINGS["ttl"] + 15.0}
"""How long there may be no write when PostgreSQL is killed, and when its machine is lost.

In the second case Patroni waits for the end of the primary's lease, its ``ttl``.
"""
BOUNCER_SETTINGS = {"server_login_retry": "1", "query_wait_timeout": "2"}
"""Likewise in PgBouncer, where a host behind it may be gone."""
ROLE_SETTINGS = ("jit = off", "lock_timeout = '2s'")
SERVER_PROGRAMS = (*guard.PROGRAMS, "pg_controldata", "pg_rewind", "pg_isready")
PARAMETERS = {
    "unix_socket_directories": "",
    "max_connections": 100,
    "timezone": "UTC",
    "dynamic_shared_memory_type": "mmap",  # others are left behind when everything is killed
}
INITDB = {
    "encoding": "UTF8",
    "locale-provider": "builtin",
    "builtin-locale": "C.UTF-8",
    "locale": "C",
    "lc-ctype": guard._utf8_locale(),
}


class Machine:
    """One of the two: a host, its folder, and what runs there."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.name, self.address = host.name, host.address
        self._folder = folder / host.name
        self._folder.mkdir()

    def start(self, all_hosts: dict[str, str], server_programs: Path) -> None:
        """Start everything; PostgreSQL is made and started by Patroni.

        Args:
            all_hosts: the addresses of etcd's members by name.
            server_programs: the folder of PostgreSQL's programs.
        """
        self._start_etcd(all_hosts)
        self._start_patroni(all_hosts, server_programs)
        place = self._folder / "bouncer"
        place.mkdir()
        url = f"postgresql://{USER}@{self.address}:{POSTGRESQL}/postgres"
        words = postgresql_bouncer.command(place, url, self.address, PGBOUNCER, **BOUNCER_SETTINGS)
        self._run("pgbouncer", words)

    def _start_etcd(self, all_hosts: dict[str, str]) -> None:
        words = etcd_command(self.name, self.address, all_hosts, self._folder / "etcd-data")
        self._run("etcd", words)

    def _start_patroni(self, all_hosts: dict[str, str], server_programs: Path) -> None:
        config = self._folder / "patroni.json"  # JSON is YAML
        config.write_text(json.dumps(self._patroni_settings(all_hosts, server_programs)))
        words = [sys.executable, "-m", "patroni", str(config)]
        self._run("patroni", words, PYTHONPATH=str(programs.PATRONI_FOLDER))

    def _patroni_settings(self, all_hosts: dict[str, str], bin_dir: Path) -> dict[str, Any]:
        postgresql = CLUSTER_SETTINGS["postgresql"] | {"parameters": PARAMETERS}
        address = f"{self.address}:{POSTGRESQL}"
        trusted = f"{network.PREFIX}.0/24 trust"
        return {
            "scope": "dragoman",
            "name": self.name,
            "restapi": dict.fromkeys(("listen", "connect_address"), f"{self.address}:{PATRONI}"),
            "etcd3": {"hosts": [f"{host}:{ETCD}" for host in all_hosts.values()]},
            "bootstrap": {
                "dcs": {**CLUSTER_SETTINGS, "postgresql": postgresql},
                "initdb": ["no-sync", *({name: value} for name, value in INITDB.items())],
            },
            "postgresql": {
                "listen": address,
                "connect_address": address,
                "data_dir": str(self._data),
                "bin_dir": str(bin_dir),
                "pgpass": str(self._folder / "pgpass"),
                "authentication": {
                    "superuser": {"username": USER},
                    "replication": {"username": "replicator"},
                },
                "pg_hba": [f"host all all {trusted}", f"host replication all {trusted}"],
            },
        }

    def kill_postgresql(self) -> None:
        """End all processes of PostgreSQL by SIGKILL; Patroni goes on."""
        kill_server(self._data)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, name: str, words: list[str], **environment: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self.host.start(words, log, environment)

    def logs(self) -> str:
        """Return the end of what its programs have written."""
        return "\n".join(
            f"{path.parent.name}/{path.name}:\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self._folder.glob("*.log"))
        )


def etcd_command(name: str, address: str, all_hosts: dict[str, str], data: Path) -> list[str]:
    """Return the command line of one member of etcd.

    It has more time than by default for a heartbeat: this is one small machine, not three.
    """
    client, peer = f"http://{address}:{ETCD}", f"http://{address}:{ETCD_PEERS}"
    members = [f"{member}=http://{host}:{ETCD_PEERS}" for member, host in all_hosts.items()]
    options = {
        "name": name,
        "data-dir": str(data),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": ",".join(members),
        "heartbeat-interval": "200",
        "election-timeout": "2000",
        "log-level": "warn",
    }
    return [programs.etcd(), *(f"--{key}={value}" for key, value in options.items())]


class Cluster:
    """Both machines, and etcd's third member on this one."""

    def __init__(self, folder: Path) -> None:
        made = Network()
        self._folder = folder
        self.machines = [Machine(made.host(name), folder) for name in ("db1", "db2")]
        self._hosts = {"witness": GATEWAY, **{m.name: m.address for m in self.machines}}

    def start(self) -> None:
        """Start everything and wait until the standby is synchronous."""
        guard._install(self._folder, SERVER_PROGRAMS)
        server_programs = self._folder / guard.PREFIX / "bin"
        with (self._folder / "witness.log").open("ab") as log:
            words = etcd_command("witness", GATEWAY, self._hosts, self._folder / "witness")
            subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for machine in self.machines:
            machine.start(self._hosts, server_programs)
        self.wait_until_synchronous()

    def url(self, database: str, *, port: int = POSTGRESQL) -> str:
        """Return the URL of a database that names both machines, as Dragoman is told it."""
        hosts = ",".join(f"{machine.address}:{port}" for machine in self.machines)
        return f"postgresql://{USER}@{hosts}/{database}?target_session_attrs=read-write"

    def primary(self) -> Machine | None:
        """Return the machine that Patroni calls the leader, if all that answer agree on one."""
        found = {name for name, role, state in self._members() if role == "leader" and state}
        return next((machine for machine in self.machines if {machine.name} == found), None)

    def wait_until_synchronous(self) -> Machine:
        """Wait until each commit of a primary waits for the other machine; return the primary."""

        def is_synchronous() -> bool:
            members = self._members()
            return {role for _, role, running in members if running} == {"leader", "sync_standby"}

        self.wait(is_synchronous, "the standby is not synchronous")
        primary = self.primary()
        assert primary is not None
        return primary

    def wait(self, condition: Callable[[], bool], problem: str) -> None:
        """Wait until something is so; the programs' logs are part of the failure."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{problem}\n{self._members()}\n{self.logs()}")
            time.sleep(0.2)

    def logs(self) -> str:
        """Return the ends of all programs' logs."""
        return "\n".join(machine.logs() for machine in self.machines)

    def _members(self) -> list[tuple[str, str, bool]]:
        """Return name, role, and whether it is up, as told by the first Patroni that answers."""
        for machine in self.machines:
            with contextlib.suppress(httpx.HTTPError):
                told = httpx.get(f"http://{machine.address}:{PATRONI}/cluster", timeout=1).json()
                return [
                    (member["name"], member["role"], member["state"] in {"running", "streaming"})
                    for member in told.get("members", [])
                ]
        return []


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Run one for the length of a block; its processes end with the namespaces (see network)."""
    cluster = Cluster(folder)
    cluster.start()
    yield cluster
