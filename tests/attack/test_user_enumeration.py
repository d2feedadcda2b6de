"""Who is asked about somebody says the same of everybody: by bytes, by headers, and by work."""

from __future__ import annotations

import itertools
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from dragoman.actions.password_hashing import PasswordHasherPool
from dragoman.actions.steps import mails
from dragoman.rules import passwords
from dragoman.store.transaction import Tx
from tests.support.clients import CLIENTS
from tests.support.databases import query, settings_for
from tests.support.rows import Rows, open_rows
from tests.support.running_app import running_client
from tests.support.user_requests import SIGN_INS
from tests.support.world import API, PASSWORD, World

pytestmark = pytest.mark.anyio

every_contract = pytest.mark.parametrize("name", list(CLIENTS))
WRONG = "wrong-Kettle-42"
OWN_OF_EACH = {"x-request-id", "date", "x-ratelimit-remaining", "x-ratelimit-reset"}
"""Headers that no two answers have in common."""
LIMIT = 10
"""Failures on one account from one address in a minute."""


class HashCounter:
    """How many hashes were asked for."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def since(self, before: Counter[str]) -> dict[str, int]:
        """Return what was done since then."""
        return dict(self.count - before)


@pytest.fixture
def hash_counter(monkeypatch: pytest.MonkeyPatch) -> HashCounter:
    """Count hashes, which are made as ever."""
    found = HashCounter()
    for verb in ("verify", "hash"):
        plain = getattr(PasswordHasherPool, verb)

        async def counted(
            self: PasswordHasherPool, *arguments: str, _plain: Any = plain, _verb: str = verb
        ) -> Any:
            found.count[_verb] += 1
            return await _plain(self, *arguments)

        monkeypatch.setattr(PasswordHasherPool, verb, counted)
    return found


@pytest.fixture
async def rows(seeded_database: tuple[str, World]) -> AsyncIterator[Rows]:
    """What the database holds, behind the application's back."""
    rows = await open_rows(seeded_database[0])
    try:
        yield rows
    finally:
        await rows.close()


@pytest.fixture
async def http(
    seeded_database: tuple[str, World], rows: Rows, hash_counter: HashCounter
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application on a database with the world in it, and more trouble."""
    database, world = seeded_database
    assert not hash_counter.count
    cheap = passwords.hash_password(PASSWORD)
    await rows.execute([(f"UPDATE users SET password_hash = '{cheap}'", [])])
    async with running_client(settings_for(database)) as client:
        by_root = {"Authorization": f"Token {world.people['root'].token}"}
        for whom in ("otto", "gus"):
            path = f"{API}/users/{world.people[whom].id}/"
            assert (await client.delete(path, headers=by_root)).status_code == 204
        globex = f"{API}/tenants/{world.tenants['globex'].id}/"
        off = await client.patch(globex, json={"is_active": False}, headers=by_root)
        assert off.status_code == 200
        yield client


FAILING_SIGN_INS = {
    "unknown": ("nobody@nowhere.test", PASSWORD),
    "unknown, in other letters": ("ńobody@nowhere.test", PASSWORD),
    "wrong": ("mia@acme.test", WRONG),
    "wrong, an administrator": ("ada@platform.test", WRONG),
    "wrong, in other letters": ("ＭＩＡ@acme.test", WRONG),
    "almost right": ("mia@acme.test", PASSWORD + " "),
    "in the other case": ("mia@acme.test", PASSWORD.swapcase()),
    "as long as may be": ("mia@acme.test", "x" * 100),
    "inactive": ("idle@acme.test", PASSWORD),
    "inactive and wrong": ("idle@acme.test", WRONG),
    "erased": ("otto@acme.test", PASSWORD),
    "erased of a tenant switched off": ("gus@globex.test", PASSWORD),
    "owner of a tenant switched off": ("gil@globex.test", PASSWORD),
    "the same and wrong": ("gil@globex.test", WRONG),
    "without a hash": ("vic@acme.test", PASSWORD),
}


def comparable(answer: httpx.Response) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
    """Return what is the same in two answers that say the same."""
    headers = tuple(sorted(p for p in answer.headers.items() if p[0] not in OWN_OF_EACH))
    return answer.status_code, answer.content, headers


@every_contract
async def test_no_sign_in_tells_why_it_failed(
    name: str,
    http: httpx.AsyncClient,
    rows: Rows,
    hash_counter: HashCounter,
    seeded_database: tuple[str, World],
) -> None:
    """The same bytes after one verification, no hash, and the same rows: whoever it is."""
    await rows.execute([("UPDATE users SET password_hash = '' WHERE username = 'vic'", [])])
    path, field = SIGN_INS[name]
    said: dict[Any, list[str]] = {}
    left: dict[Any, list[str]] = {}
    for why, (email, password) in FAILING_SIGN_INS.items():
        before = hash_counter.count.copy()
        ((last,),) = await query(seeded_database[0], "SELECT max(id) FROM audit")
        answer = await http.post(path, json={field: email, "password": password})
        assert hash_counter.since(before) == {"verify": 1}, why
        written = await query(seeded_database[0], f"SELECT action FROM audit WHERE id > {last:d}")
        said.setdefault(comparable(answer), []).append(why)
        left.setdefault(tuple(written), []).append(why)
    assert len(said) == 1, said
    assert list(left) == [(("sessions.sign_in_failed",),)], left
    ((status, _, headers),) = said
    assert status in {400, 401}
    assert not any(name == "set-cookie" for name, _ in headers)


@every_contract
@pytest.mark.sqlite
@pytest.mark.parametrize("backend", ["sqlite"])  # how they are counted is tested on both below
async def test_no_limit_tells_who_is_there(
    name: str, http: httpx.AsyncClient, hash_counter: HashCounter
) -> None:
    """Names that nobody has are limited after as many failures, in the same words, without work."""
    path, field = SIGN_INS[name]
    said: dict[Any, list[str]] = {}
    counts: set[int] = set()
    for email in ("nobody@nowhere.test", "mia@acme.test", "idle@acme.test", "gil@globex.test"):
        body = {field: email, "password": WRONG}
        failures = 0
        while (answer := await http.post(path, json=body)).status_code != 429:
            failures += 1
            assert failures <= LIMIT, email
        counts.add(failures)
        before = hash_counter.count.copy()
        answer = await http.post(path, json={**body, "password": PASSWORD})
        assert hash_counter.since(before) == {}
        assert 50 <= int(answer.headers["Retry-After"]) <= 60
        masked = httpx.Response(
            answer.status_code,
            headers={k: v for k, v in answer.headers.items() if k != "retry-after"},
            content=re.sub(rb"\d+", b"N", answer.content),
        )
        said.setdefault(comparable(masked), []).append(email)
    assert counts == {LIMIT}
    assert len(said) == 1, said


async def test_a_request_for_a_reset_tells_nothing(
    http: httpx.AsyncClient, hash_counter: HashCounter, seeded_database: tuple[str, World]
) -> None:
    """One answer for all, without a hash; a mail to whom it belongs, and to nobody else."""
    path = f"{API}/auth/password/reset/"
    emails = [email for email, _ in FAILING_SIGN_INS.values()] + [
        "admin@localhost",
        "mia@acme.test",
    ]
    said = {comparable(await http.post(path, json={"email": email})) for email in emails}
    assert len(said) == 1
    assert hash_counter.count["verify"] == hash_counter.count["hash"] == 0
    sent = await query(
        seeded_database[0], "SELECT DISTINCT recipient FROM outbox ORDER BY recipient"
    )
    living = ["ada@platform.test", "admin@localhost", "mia@acme.test", "vic@acme.test"]
    assert [recipient for (recipient,) in sent if not recipient.startswith("gil")] == living


class WorkCounter:
    """Counts the statements of transactions and reads, and the rows that they wrote."""

    def __init__(self) -> None:
        self.statements = 0
        self.written = 0

    def take(self) -> tuple[int, int]:
        """Return both since the last time."""
        work, self.statements, self.written = (self.statements, self.written), 0, 0
        return work


WRITES = ("INSERT", "UPDATE", "DELETE")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> WorkCounter:
    """Count the work of transactions, which they do as ever."""
    counter = WorkCounter()

    def watch(name: str) -> None:
        plain = getattr(Tx, name)

        async def counted(self: Tx, *arguments: Any, **params: Any) -> Any:
            found = await plain(self, *arguments, **params)
            counter.statements += 1
            if name == "run":
                counter.written += found
            elif name == "fetch" and arguments[0].sqlite.sql.lstrip().startswith(WRITES):
                counter.written += len(found)
            return found

        monkeypatch.setattr(Tx, name, counted)

    plain_defer = Tx.defer

    def defer(self: Tx, query: Any, **params: Any) -> None:
        counter.statements += 1
        counter.written += 1
        plain_defer(self, query, **params)

    for name in ("fetch", "run", "lock"):
        watch(name)
    monkeypatch.setattr(Tx, "defer", defer)
    return counter


async def test_a_request_for_a_reset_is_the_same_work_for_all(
    http: httpx.AsyncClient, work: WorkCounter
) -> None:
    """As many statements and rows, for known and unknown addresses, again and beyond the limit."""
    path = f"{API}/auth/password/reset/"
    done: dict[str, list[tuple[int, int]]] = {}
    for email in ("mia@acme.test", "nobody@nowhere.test", "idle@acme.test", "otto@acme.test"):
        for _ in range(7):
            work.take()
            assert (await http.post(path, json={"email": email})).status_code == 200
            done.setdefault(email, []).append(work.take())
    assert done["mia@acme.test"] == done["nobody@nowhere.test"]
    assert len({tuple(found) for found in done.values()}) == 1, done
    assert done["mia@acme.test"][0] > (5, 3), "the work is counted"


@pytest.mark.faults
async def test_a_request_for_a_reset_takes_as_long_for_all(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell known from unknown addresses by the time, over some hundred pairs."""
    monkeypatch.setattr(mails, "MAX_MAILS_PER_HOUR", 1_000)
    path = f"{API}/auth/password/reset/"
    seconds: dict[str, list[float]] = {"known": [], "unknown": []}
    for number in range(100):
        for kind in random.sample(sorted(seconds), 2):
            email = "mia@acme.test" if kind == "known" else f"nobody{number % 30}@nowhere.test"
            begun = time.perf_counter()
            await http.post(path, json={"email": email})
            seconds[kind].append(time.perf_counter() - begun)
    pairs = list(itertools.product(seconds["known"], seconds["unknown"]))
    auc = sum((known > unknown) + (known == unknown) / 2 for known, unknown in pairs) / len(pairs)
    assert 0.36 < auc < 0.64, auc


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/accounts/api/users/signup", {"password": PASSWORD}),
        ("/wekan/users/register", {"password": PASSWORD}),
        (f"/wiwebb{API}/auth/registration/", {"password1": PASSWORD, "password2": PASSWORD}),
    ],
)
async def test_a_sign_up_tells_that_a_name_is_taken_and_no_more(
    http: httpx.AsyncClient, hash_counter: HashCounter, path: str, more: dict[str, str]
) -> None:
    """Neither whose it is, nor in which tenant or state: a taken name is a taken name."""
    said: dict[str, set[Any]] = {"name": set(), "email": set(), "crossed": set()}
    for number, whom in enumerate(("mia", "idle", "ada", "vic", "gil")):
        home = {"ada": "platform", "gil": "globex"}.get(whom, "acme")
        email = f"{whom}@{home}.test"
        new = f"new{number}"
        tried = {
            "name": {"username": whom, "email": f"{new}@new.test"},
            "email": {"username": new, "email": email},
            "crossed": {"username": email, "email": f"{new}@new.test"},
        }
        for kind, body in tried.items():
            said[kind].add(comparable(await http.post(path, json={**body, **more})))
    assert {kind: len(answers) for kind, answers in said.items()} == dict.fromkeys(said, 1), said
    assert {status for answers in said.values() for status, *_ in answers} == {400}
    assert hash_counter.count["hash"] == 0, "nothing was made of it"
    free = await http.post(path, json={"username": "otto", "email": "otto@acme.test", **more})
    assert free.is_success, "gone is gone"


async def test_an_invitation_tells_that_an_address_is_taken_and_no_more(
    http: httpx.AsyncClient, seeded_database: tuple[str, World]
) -> None:
    """Whoever holds it, in whatever tenant; and one that is gone or unknown is invited alike."""
    world = seeded_database[1]
    headers = {"Authorization": f"Bearer {world.people['olga'].tokens['vsay']}"}

    async def invite(email: str) -> httpx.Response:
        body = {"email": email, "name": "N", "role": "member"}
        return await http.post("/vsay/users/invite", json=body, headers=headers)

    taken = ("mia@acme.test", "idle@acme.test", "gil@globex.test", "ada@platform.test")
    said = {comparable(await invite(email)) for email in taken}
    assert len(said) == 1
    assert said.pop()[0] == 409
    free = [await invite(email) for email in ("otto@acme.test", "new@nowhere.test")]
    assert [answer.status_code for answer in free] == [201, 201]
    assert {tuple(answer.json()["data"]) for answer in free} == {
        ("invitation_id", "email", "expires_at")
    }
