"""Imports of many users: their rate beside bare inserts of the same rows, memory, other requests."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import http.client
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from benchmarks import dragoman_target
from benchmarks.data import Dataset
from benchmarks.servers import database, serving, settle
from dragoman import app, dialects
from dragoman.actions import tokens, user_lists
from dragoman.actions.system import system_actor
from dragoman.rules.fields import search_words
from dragoman.rules.model import Filter
from dragoman.settings import Settings
from dragoman.store import users as user_store
from dragoman.store.user_lists import counters
from tests.support.postgresql import PostgreSQL
from tests.support.server import dragoman_command, free_port

COLUMNS = ("username", "email", "first_name", "last_name", "phone", "company", "location")
TABLES = ("users", "names")
READS_PER_S, WRITES_PER_S = 20, 5
"""Requests per second to a server meanwhile."""
TARGET_RATIO, TARGET_MB, TARGET_READ_MS, TARGET_WRITE_MS = 0.5, 200, 100, 250
ACTOR = system_actor("benchmark")


class ImportResult(msgspec.Struct):
    """The figures of one database.

    Attributes:
        target: the database.
        users: how many users the first import brought.
        rate: users per second of the first import, the whole process from start to end.
        bare_rate: users per second of bare inserts of the same rows into the same tables.
        growth_rate: users per second of a second import, of a tenth as many.
        memory_mb: the largest resident memory of an import.
        beside_rate: users per second of a third one beside requests to a server.
        read_ms: the 99th percentile of reads meanwhile.
        write_ms: the same of writes.
        failures: requests that failed meanwhile.
        exact: whether all counters and a search were right at the end.
    """

    target: str
    users: int
    rate: float = 0.0
    bare_rate: float = 0.0
    growth_rate: float = 0.0
    memory_mb: float = 0.0
    beside_rate: float = 0.0
    read_ms: float = 0.0
    write_ms: float = 0.0
    failures: int = 0
    exact: bool = False


def measure(
    users: int, names: list[str], server: PostgreSQL, say: Callable[[str], None]
) -> list[ImportResult]:
    """Measure imports of a number of users into empty databases, and of more after them.

    Args:
        users: the number of users of the first import.
        names: ``sqlite``, ``postgresql`` or both.
        server: the PostgreSQL server.
        say: writes a line of progress.
    """
    results: list[ImportResult] = []
    for name in (name for name in ("sqlite", "postgresql") if name in names):
        with tempfile.TemporaryDirectory(prefix="dragoman-bench-") as folder:
            say(f"{name}: importing {users:,} users")
            results.append(_measure(name, users, Path(folder), server, say))
    return results


def _measure(
    name: str, users: int, folder: Path, server: PostgreSQL, say: Callable[[str], None]
) -> ImportResult:
    result = ImportResult(name, users)
    more = max(users // 10, 100)
    with _empty(name, "import", folder, server) as url:
        result.rate, result.memory_mb = _import(url, folder, users, 0)
        with _empty(name, "bare", folder, server) as bare:
            say(f"{name}: bare inserts of the same rows")
            copy = _copy_sqlite if name == "sqlite" else _copy_postgresql
            result.bare_rate = users / copy(url, bare)
        if name == "postgresql":
            asyncio.run(settle(url))
        say(f"{name}: importing {more:,} more, and as many beside other requests")
        result.growth_rate, memory_mb = _import(url, folder, more, 1)
        result.memory_mb = max(result.memory_mb, memory_mb)
        with _server(url, folder) as requests:
            result.beside_rate, _ = _import(url, folder, more, 2)
        result.read_ms, result.write_ms = _p99(requests.reads), _p99(requests.writes)
        result.failures = requests.failures
        result.exact = asyncio.run(_is_exact(url, users + 2 * more))
    return result


@contextlib.contextmanager
def _empty(name: str, purpose: str, folder: Path, server: PostgreSQL) -> Generator[str]:
    """Yield the URL of a migrated database with one superadmin and the default tenant."""
    with contextlib.ExitStack() as stack:
        if name == "sqlite":
            url = f"sqlite:///{folder / purpose}.db"
        else:
            url = stack.enter_context(database(server, f"{purpose}"))
        asyncio.run(app.migrate_and_bootstrap(_settings(url)))
        yield url


def _settings(url: str) -> Settings:
    return Settings(database=url, secret_key=dragoman_target.SECRET_KEY, admin_password="x" * 20)


def _import(url: str, folder: Path, users: int, part: int) -> tuple[float, float]:
    """Import a part of the users in another process; return users per second, and its memory."""
    path = folder / f"people{part}.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(_people(users, part))
    environment = {
        **os.environ,
        "DRAGOMAN_DATABASE": url,
        "DRAGOMAN_SECRET_KEY": dragoman_target.SECRET_KEY.hex(),
    }
    began = time.perf_counter()
    with subprocess.Popen(
        [*dragoman_command(), "import", str(path), "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        assert process.stdout is not None
        tally = msgspec.json.decode(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - began
    path.unlink()
    if process.returncode or tally["created"] != users:
        raise RuntimeError(f"the import failed: {tally}")
    return round(users / took, 1), round(usage.ru_maxrss / 1024, 1)


def _people(users: int, part: int) -> Iterator[tuple[str, ...]]:
    for person in Dataset(max(users, 100)).people():
        if person.id > users:
            return
        yield (
            f"{person.username}.{part}",
            f"{part}.{person.email}",
            person.first_name,
            person.last_name,
            person.phone[:20],
            person.company,
            person.location,
        )


def _copy_postgresql(source: str, target: str) -> float:
    """Copy users and names in one transaction; return how long the inserts took (seconds)."""
    return asyncio.run(_copy_rows(source, target))


async def _copy_rows(source: str, target: str) -> float:
    read: Any = await asyncpg.connect(source)
    write: Any = await asyncpg.connect(target)
    try:
        await write.execute("DELETE FROM names; DELETE FROM users")
        took = 0.0
        with contextlib.ExitStack() as stack:
            files = {t: stack.enter_context(tempfile.TemporaryFile()) for t in TABLES}
            for table, order in (("users", "id"), ("names", "key")):
                query = f"SELECT * FROM {table} ORDER BY {order}"
                await read.copy_from_query(query, output=files[table], format="binary")
                files[table].seek(0)
            began = time.perf_counter()
            async with write.transaction():
                for table in TABLES:
                    await write.copy_to_table(table, source=files[table], format="binary")
            took = time.perf_counter() - began
    finally:
        await read.close()
        await write.close()
    return took


def _copy_sqlite(source: str, target: str) -> float:
    """Insert users and names with executemany in one transaction; return how long it took."""
    from dragoman.store.drivers.sqlite import connect

    read, write = (connect(Path(url.removeprefix("sqlite:///"))) for url in (source, target))
    with contextlib.closing(read), contextlib.closing(write):
        write.execute("DELETE FROM names")
        write.execute("UPDATE users SET search = ''")
        write.execute("DELETE FROM users")
        began = time.perf_counter()
        write.execute("BEGIN IMMEDIATE")
        for table, order in (("users", "id"), ("names", "user_id")):
            rows = read.execute(f"SELECT * FROM {table} ORDER BY {order}")
            first = rows.fetchone()
            marks = ", ".join("?" * len(first))
            write.executemany(f"INSERT INTO {table} VALUES ({marks})", chain([first], rows))
        write.execute("COMMIT")
        return time.perf_counter() - began


class _Requests:
    """Requests to a server at a fixed rate, until they are stopped; latencies in seconds."""

    def __init__(self, port: int, authorization: str, user_id: int) -> None:
        self.reads: list[float] = []
        self.writes: list[float] = []
        self.failures = 0
        self._port, self._authorization = port, authorization
        self._path = f"/api/v1/users/{user_id}/"
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=("GET", READS_PER_S, self.reads)),
            threading.Thread(target=self._send, args=("PATCH", WRITES_PER_S, self.writes)),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, method: str, rate: float, latencies: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        due = time.perf_counter()
        while not self._stop.is_set():
            due += 1 / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            body = f'{{"phone": "{len(latencies)}"}}' if method == "PATCH" else None
            began = time.perf_counter()
            connection.request(method, self._path, body, headers)
            response = connection.getresponse()
            response.read()
            latencies.append(time.perf_counter() - began)
            self.failures += response.status != 200
            due = max(due, time.perf_counter() - 1 / rate)
        connection.close()


@contextlib.contextmanager
def _server(url: str, folder: Path) -> Generator[_Requests]:
    """Run a server on the database, and send it requests meanwhile."""
    authorization, user_id = asyncio.run(_credential(url))
    port = free_port()
    environment = {
        "DRAGOMAN_DATABASE": url,
        "DRAGOMAN_SECRET_KEY": dragoman_target.SECRET_KEY.hex(),
        "DRAGOMAN_ANONYMOUS_RATE": "off",
        "DRAGOMAN_USER_RATE": "off",
    }
    command = [*dragoman_command(), "serve", "--port", str(port)]
    serve: AbstractContextManager[Any] = serving(command, environment, folder, port)
    with serve:
        requests = _Requests(port, authorization, user_id)
        requests.start()
        try:
            yield requests
        finally:
            requests.stop()


async def _credential(url: str) -> tuple[str, int]:
    """Return an ``Authorization`` value of the superadmin, and the id of a user to change."""
    spoken = dialects.load("wiwebb").CONTRACT
    async with app.open_directory(_settings(url)) as directory:
        read = directory.read(ACTOR)
        admin = await user_store.find_by_login_name(read, "admin")
        person = await user_store.find_by_login_name(read, next(_people(100, 0))[0])
        assert admin is not None
        assert person is not None
        async with directory.begin(ACTOR) as tx:
            given = await tokens.issue(tx, directory, admin.id, spoken.credential_format)
    return f"{spoken.scheme} {given.secret}", person.id


async def _is_exact(url: str, users: int) -> bool:
    """Return whether the counters are those of the rows, and a search finds a new user."""
    async with app.open_directory(_settings(url)) as directory:
        read = directory.read(ACTOR)
        differences = await counters.differences(read)
        *_, (username, *_) = _people(100, 2)
        wanted = Filter(words=search_words(username))
        found = await user_lists.list_page(directory, read, wanted, (), limit=10)
        everybody = await user_lists.list_page(directory, read, Filter(), (), limit=1)
    has_all = everybody.count == users + 1  # with the superadmin
    return not differences and has_all and [each.username for each in found.rows] == [username]


def _p99(latencies: list[float]) -> float:
    ordered = sorted(latencies)
    return round(1000 * ordered[int(len(ordered) * 0.99)], 1) if ordered else 0.0


def show(results: list[ImportResult]) -> None:
    """Print the figures, and which targets were missed."""
    for result in results:
        checks = {
            f"rate / bare inserts {result.rate / result.bare_rate:.2f} (target {TARGET_RATIO})": (
                result.rate >= TARGET_RATIO * result.bare_rate
            ),
            f"memory {result.memory_mb} MB (target {TARGET_MB})": result.memory_mb < TARGET_MB,
            f"reads p99 {result.read_ms} ms (target {TARGET_READ_MS})": (
                result.read_ms < TARGET_READ_MS
            ),
            f"writes p99 {result.write_ms} ms (target {TARGET_WRITE_MS})": (
                result.write_ms < TARGET_WRITE_MS
            ),
            f"failed requests {result.failures}": not result.failures,
            "counters and search exact": result.exact,
        }
        print(
            f"{result.target}, {result.users:,} users: {result.rate:,.0f}/s,"
            f" bare inserts {result.bare_rate:,.0f}/s, a tenth more {result.growth_rate:,.0f}/s,"
            f" beside requests {result.beside_rate:,.0f}/s"
        )
        for text, reached in checks.items():
            print(f"  {'ok    ' if reached else 'MISSED'} {text}")
