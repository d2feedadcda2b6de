"""A storm of writes over HTTP, by all contracts, that keeps a journal of what it was promised.

Every writer changes its own users alone, so that the journal knows what each of them must be:
the state that was acknowledged last, or the one of the request that was cut short. Each request
carries an id of its own, which the history repeats: a change is there exactly if its row is.
"""

from __future__ import annotations

import threading

import httpx

from tests.faults.admin_credentials import AdminCredentials
from tests.faults.journal import Journal
from tests.faults.writer import Writer
from tests.support.databases import ADMIN_PASSWORD
from tests.support.processes import wait_for

API = "/api/v1"


class WriteLoad:
    """Some writers at work. Leaving the block stops them and waits for them.

    Args:
        journal: where they write down what they were promised.
        url: where the server is.
        token: of a superadmin, at wiwebb.
        tenant: the id of the tenant in which they work: the settings' one.
        writers: how many.
        forgiving: an answer 503 leaves open whether the change was made.
        doors: by what they go in at the other contracts; without it they know wiwebb alone.
    """

    def __init__(
        self,
        journal: Journal,
        url: str,
        token: str,
        tenant: int,
        *,
        writers: int = 6,
        allow_unavailable: bool = False,
        admin_credentials: AdminCredentials | None = None,
    ) -> None:
        self.journal = journal
        self.allow_unavailable = allow_unavailable
        self.tenant = tenant
        self.admin_credentials = admin_credentials or AdminCredentials({"wiwebb": token})
        self.stopped = threading.Event()
        share = [[] for _ in range(writers)]
        usable = [account for account in journal.accounts if not account.excluded]
        for index, account in enumerate(usable):
            share[index % writers].append(account)
        self.writers = [
            Writer(self, url, accounts, journal.random.getrandbits(64)) for accounts in share
        ]

    def __enter__(self) -> WriteLoad:
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for writer in self.writers:
            writer.join(60)
        assert not any(writer.is_alive() for writer in self.writers), "a request never ended"
        known = {id(account) for account in self.journal.accounts}
        for writer in self.writers:
            new = [account for account in writer.accounts if id(account) not in known]
            self.journal.accounts.extend(new)

    @property
    def answered(self) -> int:
        """How many requests were answered in all storms of this journal."""
        return sum(self.journal.statuses.values())


class Progress:
    """Has a storm got somewhere since this was made: so many answers of each writer?"""

    def __init__(self, write_load: WriteLoad, each: int = 4) -> None:
        self._write_load = write_load
        self._goal = write_load.answered + each * len(write_load.writers)

    def wait(self, seconds: float) -> bool:
        """Wait for it; say whether it came in time."""
        return wait_for(lambda: self._write_load.answered >= self._goal, seconds)


def sign_in_as_admin(url: str) -> tuple[str, int]:
    """Sign in as the first superadmin; return the token and the id of the first tenant."""
    with httpx.Client(base_url=f"{url}{API}", timeout=30) as client:
        login = client.post("/auth/login/", json={"username": "admin", "password": ADMIN_PASSWORD})
        token: str = login.json()["key"]
        tenants = client.get("/tenants/", headers={"Authorization": f"Token {token}"})
        return token, tenants.json()["results"][0]["id"]
