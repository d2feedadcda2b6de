"""Everybody at once, at two workers: one gets the name, one owner stays, each secret works once."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dragoman import dialects
from dragoman.rules.fields import canonical
from dragoman.rules.model import Role
from tests.faults import races
from tests.faults.arena import Arena
from tests.faults.processes import environment, wait_for, workers
from tests.faults.races import (
    ADDRESSED,
    NAMED,
    PASSWORD,
    Shot,
    Ways,
    one_winner,
    says_dead,
    says_stale,
    says_taken,
    says_void,
    spellings,
)  # fmt: skip
from tests.faults.rivals import fall, leaving, quarrel, says_last, unexpected
from tests.support.databases import BACKENDS, Shelf
from tests.support.server import serving

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "8"))
COSTLY = int(os.environ.get("FAULT_ROUNDS", "2"))
"""Rounds of what takes fifty hashes."""
SEED = int(os.environ.get("FAULT_SEED", "20"))
CROWD = 50
TICKS = 4
"""An idle worker does not work so much (hundredths of a second) while this test runs."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180 + 20 * ROUNDS)]


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in BACKENDS],
)
def arena(
    request: pytest.FixtureRequest, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Arena]:
    """The world, and a server with two workers on it that must not find a bug in itself."""
    folder: Path = tmp_path_factory.mktemp("arena")
    with shelf.inhabited(request.param) as (database, world):
        with serving(environment(database), folder, "--workers", "2") as server:
            arena = Arena(server, database, world)
            yield arena
            assert '"bug"' not in server.said(), server.said()
        assert arena.deadlocks() == 0


def choices(round_: int) -> random.Random:
    """Return the chance of a round, the same every time."""
    return random.Random(SEED * 1000 + round_)


def test_both_workers_get_a_share(arena: Arena) -> None:
    """The premise of all that follows: a volley is not answered by one process alone."""
    reading = Shot("wiwebb", "GET", "/api/v1/users/", None, arena.world.people["ada"].token)
    before = {pid: used(pid) for pid in workers(arena.server)}
    assert len(before) == 2

    def both() -> bool:
        assert {answer.status for answer in arena.fire([reading] * CROWD)} == {200}
        return all(used(pid) >= before[pid] + TICKS for pid in before)

    assert wait_for(both, 2)


def used(pid: int) -> int:
    """Return how many hundredths of a second a process has worked, all its threads together."""
    columns = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(columns[11]) + int(columns[12])


@pytest.mark.parametrize("by", ["username", "email"])
def test_one_name_in_fifty_spellings_makes_one_user(arena: Arena, by: str) -> None:
    people, acme = arena.world.people, arena.world.tenants["acme"].id
    own = people["olga"].tokens
    ways = Ways(people["ada"].token, own["binacle"], own["wekan"], acme)
    for round_ in range(COSTLY):
        chance, number = choices(round_), arena.number()
        name = f"ren\u00e9e{number}" + ("@race.test" if by == "email" else "")
        spelled = spellings(name)
        shots = [
            ways.create(
                (ADDRESSED if by == "email" else NAMED)[n % (5 + (by == "email"))],
                spelled[n % len(spelled)],
                by=_field(by, n),
                number=f"{number}-{n}",
            )
            for n in range(CROWD)
        ]
        if by == "email":
            secret = arena.invitation(name, own["vsay"])
            shots[-2:] = [races.acceptance(secret), races.acceptance(secret)]
        chance.shuffle(shots)
        before = living(arena)
        answers = arena.fire(shots)
        assert one_winner(answers, says_taken, says_void) == [], (round_, SEED)
        assert living(arena) == before + 1
        assert holders(arena, name) == 1


def _field(by: str, n: int) -> str:
    """Return as what a way wants an address: now and then as username, where it may stand there."""
    return "username" if by == "username" or n % 4 == 3 else "email"


def living(arena: Arena) -> int:
    """Return how many users there are."""
    return arena.query("SELECT count(*) FROM users WHERE deleted_at IS NULL")[0][0]


def holders(arena: Arena, name: str) -> int:
    """Return how many living users go by a name, as username or address; its row must say who."""
    key = canonical(name)
    where = f"deleted_at IS NULL AND (username_key = '{key}' OR email_key = '{key}')"
    found = arena.query(f"SELECT id FROM users WHERE {where}")
    assert arena.query(f"SELECT user_id FROM names WHERE key = '{key}'") == found
    made = arena.query(
        "SELECT count(*) FROM audit WHERE target_kind = 'user' AND action IN"
        f" ('users.create', 'sign_up', 'accept_invitation') AND target_id = {found[0][0]}"
    )
    assert made == [(1,)]
    return len(found)


def test_one_address_is_moved_to_by_one(arena: Arena) -> None:
    """Those who are users already go for it, through both contracts that change addresses."""
    people, acme = arena.world.people, arena.world.tenants["acme"].id
    crowd = arena.rivals(20, Role.MEMBER, acme)
    for round_ in range(ROUNDS):
        name = f"ren\u00e9e{arena.number()}@race.test"
        spelled = spellings(name)
        shots: list[Shot] = []
        for n, rival in enumerate(crowd):
            body = {"email": spelled[n % len(spelled)]}
            if n % 2:
                path, token = f"/api/v1/users/{rival.id}/", people["ada"].token
                shots.append(Shot("wiwebb", "PATCH", path, body, token))
            else:
                path, token = f"/api/users/{rival.id}", people["olga"].tokens["accounts"]
                shots.append(Shot("accounts", "PUT", path, body, token))
        assert one_winner(arena.fire(shots), says_taken) == [], round_
        key = canonical(name)
        assert arena.query(f"SELECT count(*) FROM users WHERE email_key = '{key}'") == [(1,)]


def test_one_address_is_invited_once(arena: Arena) -> None:
    """By two tenants at the same time."""
    people = arena.world.people
    senders = [people[name].tokens["vsay"] for name in ("olga", "gil")]
    for round_ in range(ROUNDS):
        spelled = spellings(f"ren\u00e9e{arena.number()}@race.test")
        shots = [
            Shot(
                "vsay",
                "POST",
                "/users/invite",
                {"email": spelled[n % len(spelled)], "name": "Nora", "role": "member"},
                senders[n % 2],
            )
            for n in range(20)
        ]
        assert one_winner(arena.fire(shots), says_taken) == [], round_


def owners(arena: Arena, tenant: int) -> int:
    """Return how many active owners a tenant has."""
    where = f"tenant_id = {tenant} AND role = {int(Role.OWNER)} AND active AND deleted_at IS NULL"
    return arena.query(f"SELECT count(*) FROM users WHERE {where}")[0][0]


def test_owners_who_remove_each_other_leave_one(arena: Arena) -> None:
    for round_ in range(ROUNDS):
        tenant = arena.tenant()
        rivals = arena.rivals(4, Role.OWNER, tenant)
        answers = arena.fire(quarrel(rivals, choices(round_)))
        assert unexpected(answers) == [], (round_, SEED)
        assert any(answer.succeeded for answer in answers)
        assert owners(arena, tenant) >= 1, [str(answer) for answer in answers]


def test_of_owners_who_all_leave_at_once_one_must_stay(arena: Arena) -> None:
    """Each by a contract of its own, and the last is told so in that contract's words."""
    for round_ in range(ROUNDS):
        tenant = arena.tenant()
        rivals = arena.rivals(len(dialects.NAMES), Role.OWNER, tenant)
        shots = [leaving(who, name) for who, name in zip(rivals, dialects.NAMES, strict=True)]
        choices(round_).shuffle(shots)
        answers = arena.fire(shots)
        stay = [answer for answer in answers if not answer.succeeded]
        assert len(stay) == 1, [str(answer) for answer in answers]
        assert says_last(stay[0]), str(stay[0])
        assert owners(arena, tenant) == 1


SUPERADMINS = (
    f"SELECT id FROM users WHERE role = {int(Role.SUPERADMIN)} AND active AND deleted_at IS NULL"
)


def test_one_superadmin_remains(arena: Arena) -> None:
    """Whether they remove each other or leave, at the one contract that knows them."""
    for round_ in range(ROUNDS):
        left = arena.query(SUPERADMINS)
        arena.rivals(max(0, 4 - len(left)), Role.SUPERADMIN, None)
        rivals = arena.equipped([row[0] for row in arena.query(SUPERADMINS)])
        if round_ % 2:
            answers = arena.fire([leaving(who, "wiwebb") for who in rivals])
            stay = [answer for answer in answers if not answer.succeeded]
            assert [answer.status for answer in stay] == [400], [str(a) for a in answers]
            assert b"At least one active SuperAdmin must remain." in stay[0].body
        else:
            answers = arena.fire(quarrel(rivals, choices(round_), fall))
            assert unexpected(answers) == []
            assert any(answer.succeeded for answer in answers)
        remain = arena.query(SUPERADMINS)
        assert len(remain) >= 1, [str(answer) for answer in answers]
        assert round_ % 2 == 0 or len(remain) == 1


def test_an_invitation_is_accepted_once(arena: Arena) -> None:
    """Twenty times at the same moment, half of them on the page behind its mail."""
    sender = arena.world.people["olga"].tokens["vsay"]
    for round_ in range(COSTLY):
        email = f"nora{arena.number()}@race.test"
        secret = arena.invitation(email, sender)
        before = living(arena)
        shots = [races.acceptance(secret, page=bool(n % 2)) for n in range(20)]
        assert one_winner(arena.fire(shots), says_void) == [], round_
        assert living(arena) == before + 1
        assert holders(arena, email) == 1
        used = arena.query(f"SELECT accepted_by FROM invitations WHERE email_key = '{email}'")
        assert used == arena.query(f"SELECT id FROM users WHERE email_key = '{email}'")


def test_a_refresh_token_is_spent_once_and_its_reuse_ends_the_family(arena: Arena) -> None:
    """Of many who present it at once one gets a pair, and no pair of that family opens anything."""
    mia = arena.world.people["mia"].id
    for round_ in range(ROUNDS):
        given = arena.session(mia, "vsay")
        spending = Shot("vsay", "POST", "/auth/refresh", {"refresh_token": given.refresh})
        answers = arena.fire([spending] * 8)
        assert one_winner(answers, says_dead) == [], round_
        won = next(answer for answer in answers if answer.succeeded).told()["data"]
        for token in (given.secret, won["token"]):
            assert says_dead(arena.ask(Shot("vsay", "GET", "/auth/me", None, token)))
        again = {"refresh_token": won["refresh_token"]}
        assert says_dead(arena.ask(Shot("vsay", "POST", "/auth/refresh", again)))


def test_a_link_for_a_new_password_works_once(arena: Arena) -> None:
    """Ten times at the same moment with ten passwords, half of them on its page: one is set."""
    acme = arena.world.tenants["acme"].id
    for round_ in range(COSTLY):
        (user,) = arena.rivals(1, Role.MEMBER, acme)
        secret = arena.reset_link(user)
        shots: list[Shot] = []
        for n in range(10):
            pair = {"new_password1": f"{PASSWORD}-{n}", "new_password2": f"{PASSWORD}-{n}"}
            if n % 2:
                path = f"/reset/{user.public_id}/{secret}"
                shots.append(Shot("wiwebb", "POST", path, pair, form=True))
            else:
                body = {"uid": user.public_id, "token": secret, **pair}
                path = "/api/v1/auth/password/reset/confirm/"
                shots.append(Shot("wiwebb", "POST", path, body))
        answers = arena.fire(shots)
        assert one_winner(answers, says_stale) == [], round_
        (won,) = [answer.shot for answer in answers if answer.succeeded]
        for shot in (won, shots[0] if won is not shots[0] else shots[1]):
            password = (shot.body or {})["new_password1"]
            body = {"username": user.email, "password": password}
            entered = arena.ask(Shot("wiwebb", "POST", "/api/v1/auth/login/", body))
            assert entered.status == (200 if shot is won else 400), str(entered)
