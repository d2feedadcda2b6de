"""Two worker processes are one service: what one of them cuts off is dead at the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dragoman import dialects
from tests.support.databases import ADMIN_PASSWORD, SECRET_KEY
from tests.support.server import Server, running_server
from tests.support.world import World

MAX_MB = 90
ROUNDS = 8
PROBES = {
    "accounts": ("GET", "/api/users/{id}", "Token"),
    "binacle": ("DELETE", "/api/users/nobody@nowhere.test", "Bearer"),
    "vsay": ("GET", "/auth/me", "Bearer"),
    "wekan": ("GET", "/api/user", "Bearer"),
    "wiwebb": ("GET", "/api/v1/auth/user/", "Token"),
}


@pytest.fixture
def server(seeded_database: tuple[str, World], tmp_path: Path) -> Iterator[Server]:
    """The real server with two workers, on the world."""
    settings = {
        "DRAGOMAN_DATABASE": seeded_database[0],
        "DRAGOMAN_SECRET_KEY": SECRET_KEY.hex(),
        "DRAGOMAN_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "DRAGOMAN_ANONYMOUS_RATE": "off",
        "DRAGOMAN_CONTRACTS": ",".join(dialects.NAMES),
    }
    with running_server(settings, tmp_path, "--workers", "2") as server:
        yield server


def test_cut_off_is_cut_off_on_every_worker_at_the_next_request(
    server: Server, seeded_database: tuple[str, World]
) -> None:
    people = seeded_database[1].people
    olga, root = people["olga"], people["root"]

    def answers() -> set[tuple[str, bool]]:
        """Ask on connections of their own, so that both workers come to it."""
        said: set[tuple[str, bool]] = set()
        for name in dialects.NAMES:
            method, path, scheme = PROBES[name]
            url = f"{server.url}/{name}{path.format(id=olga.id)}"
            headers = {"Authorization": f"{scheme} {olga.tokens[name]}"}
            for _ in range(ROUNDS):
                with httpx.Client() as client:
                    status = client.request(method, url, headers=headers).status_code
                assert status in {200, 401, 404}, (name, status)
                said.add((name, status != 401))
        return said

    assert answers() == {(name, True) for name in dialects.NAMES}
    done = httpx.post(
        f"{server.url}/wiwebb/api/v1/users/{olga.id}/activate/",
        json={"is_active": False},
        headers={"Authorization": f"Token {root.token}"},
    )
    assert done.status_code == 200
    assert answers() == {(name, False) for name in dialects.NAMES}


def test_an_idle_worker_is_small(server: Server) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc")
    for pid in [server.pid, *children(server.pid)]:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        assert resident < MAX_MB * 1024, f"{resident} kB"


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(listed) >= 2, "the workers are processes of their own"
    return [int(child) for child in listed]
