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
from tests.faults import simultaneous
from tests.faults.mutual_removal import (
    is_last_owner_error,
    mutual_removals,
    self_removal,
    superadmin_removals,
    unexpected_answers,
)
from tests.faults.race_server import RaceServer
from tests.faults.simultaneous import (  # fmt: skip
    PASSWORD,
    ROUTES_BY_EMAIL,
    ROUTES_BY_USERNAME,
    RaceRequest,
    UserCreators,
    claims,
    is_invalid_credential_error,
    is_invalid_invitation_error,
    is_taken_error,
    is_used_link_error,
    single_holder_problems,
    single_success_problems,
    spellings,
)
from tests.support.databases import BACKENDS, DatabaseTemplates
from tests.support.processes import environment, wait_for, workers
from tests.support.server import running_server

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
def race_server(
    request: pytest.FixtureRequest,
    database_templates: DatabaseTemplates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RaceServer]:
    """The world, and a server with two workers on it that must not find a bug in itself."""
    folder: Path = tmp_path_factory.mktemp("arena")
    with database_templates.seeded(request.param) as (database, world):
        # Of several at once, one refresh must win: the grace would give every one of them a pair.
        settings = {**environment(database), "DRAGOMAN_REFRESH_GRACE": "0"}
        with running_server(settings, folder, "--workers", "2") as server:
            started = RaceServer(server, database, world)
            yield started
            assert '"bug"' not in server.output(), server.output()
        assert started.deadlocks() == 0


def random_for_round(round_: int) -> random.Random:
    """Return the chance of a round, the same every time."""
    return random.Random(SEED * 1000 + round_)


def test_both_workers_get_a_share(race_server: RaceServer) -> None:
    """The premise of all that follows: a volley is not answered by one process alone."""
    reading = RaceRequest(
        "wiwebb", "GET", "/api/v1/users/", None, race_server.world.people["ada"].token
    )
    before = {pid: cpu_ticks(pid) for pid in workers(race_server.server)}
    assert len(before) == 2

    def both() -> bool:
        assert {answer.status for answer in race_server.send_simultaneously([reading] * CROWD)} == {
            200
        }
        return all(cpu_ticks(pid) >= before[pid] + TICKS for pid in before)

    assert wait_for(both, 2)


def cpu_ticks(pid: int) -> int:
    """Return how many hundredths of a second a process has worked, all its threads together."""
    columns = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(columns[11]) + int(columns[12])


@pytest.mark.parametrize("by", ["username", "email"])
def test_one_name_in_fifty_spellings_makes_one_user(race_server: RaceServer, by: str) -> None:
    people, acme = race_server.world.people, race_server.world.tenants["acme"].id
    own = people["olga"].tokens
    ways = UserCreators(people["ada"].token, own["binacle"], own["wekan"], acme)
    released = released_count(race_server)
    for round_ in range(COSTLY):
        chance, number = random_for_round(round_), race_server.number()
        name = f"ren\u00e9e{number}" + ("@race.test" if by == "email" else "")
        spelled = spellings(name)
        shots = [
            ways.create(
                (ROUTES_BY_EMAIL if by == "email" else ROUTES_BY_USERNAME)[
                    n % (5 + (by == "email"))
                ],
                spelled[n % len(spelled)],
                field=_field(by, n),
                number=f"{number}-{n}",
            )
            for n in range(CROWD)
        ]
        if by == "email":
            secret = race_server.invitation(name, own["vsay"])
            shots[-2:] = [simultaneous.acceptance(secret), simultaneous.acceptance(secret)]
        chance.shuffle(shots)
        before = user_count(race_server)
        answers = race_server.send_simultaneously(shots)
        judge = single_holder_problems if by == "email" else single_success_problems
        assert judge(answers, is_taken_error, is_invalid_invitation_error) == [], (round_, SEED)
        claimed = claims(answers) if by == "email" else []
        assert user_count(race_server) == before + 1 + len(claimed)
        assert name_holder_count(race_server, name) == 1
        released += len(claimed)
        assert released_count(race_server) == released


def _field(by: str, n: int) -> str:
    """Return as what a way wants an address: now and then as username, where it may stand there."""
    return "username" if by == "username" or n % 4 == 3 else "email"


def released_count(race_server: RaceServer) -> int:
    """Return how many users have given way: without an address, or a name that is one."""
    (without,) = race_server.query(
        "SELECT count(*) FROM users WHERE signed_up AND email = '' AND username NOT LIKE '%@%'"
        " AND EXISTS (SELECT 1 FROM audit WHERE target_id = users.id AND target_kind = 'user'"
        " AND action = 'users.release_email')"
    )
    rows = race_server.query("SELECT count(*) FROM audit WHERE action = 'users.release_email'")
    assert rows == [without]
    return without[0]


def user_count(race_server: RaceServer) -> int:
    """Return how many users there are."""
    return race_server.query("SELECT count(*) FROM users WHERE deleted_at IS NULL")[0][0]


def name_holder_count(race_server: RaceServer, name: str) -> int:
    """Return how many living users go by a name, as username or address; its row must say who."""
    key = canonical(name)
    where = f"deleted_at IS NULL AND (username_key = '{key}' OR email_key = '{key}')"
    found = race_server.query(f"SELECT id FROM users WHERE {where}")
    assert race_server.query(f"SELECT user_id FROM names WHERE key = '{key}'") == found
    made = race_server.query(
        "SELECT count(*) FROM audit WHERE target_kind = 'user' AND action IN"
        f" ('users.create', 'users.sign_up', 'invitations.accept') AND target_id = {found[0][0]}"
    )
    assert made == [(1,)]
    return len(found)


def test_one_address_is_moved_to_by_one(race_server: RaceServer) -> None:
    """Those who are users already go for it, through both contracts that change addresses."""
    people, acme = race_server.world.people, race_server.world.tenants["acme"].id
    crowd = race_server.create_opponents(20, Role.MEMBER, acme)
    for round_ in range(ROUNDS):
        name = f"ren\u00e9e{race_server.number()}@race.test"
        spelled = spellings(name)
        shots: list[RaceRequest] = []
        for n, opponent in enumerate(crowd):
            body = {"email": spelled[n % len(spelled)]}
            if n % 2:
                path, token = f"/api/v1/users/{opponent.id}/", people["ada"].token
                shots.append(RaceRequest("wiwebb", "PATCH", path, body, token))
            else:
                path, token = f"/api/users/{opponent.id}", people["olga"].tokens["accounts"]
                shots.append(RaceRequest("accounts", "PUT", path, body, token))
        assert (
            single_success_problems(race_server.send_simultaneously(shots), is_taken_error) == []
        ), round_
        key = canonical(name)
        assert race_server.query(f"SELECT count(*) FROM users WHERE email_key = '{key}'") == [(1,)]


def test_one_address_is_invited_once(race_server: RaceServer) -> None:
    """By two tenants at the same time: once by each, and neither hears of the other's."""
    people = race_server.world.people
    senders = [people[name].tokens["vsay"] for name in ("olga", "gil")]
    for round_ in range(ROUNDS):
        spelled = spellings(f"ren\u00e9e{race_server.number()}@race.test")
        shots = [
            RaceRequest(
                "vsay",
                "POST",
                "/users/invite",
                {"email": spelled[n % len(spelled)], "name": "Nora", "role": "member"},
                senders[n % 2],
            )
            for n in range(20)
        ]
        answers = race_server.send_simultaneously(shots)
        for sender in senders:
            own = [answer for answer in answers if answer.request.credential == sender]
            assert single_success_problems(own, is_taken_error) == [], round_


def active_owner_count(race_server: RaceServer, tenant: int) -> int:
    """Return how many active owners a tenant has."""
    where = f"tenant_id = {tenant} AND role = {int(Role.OWNER)} AND active AND deleted_at IS NULL"
    return race_server.query(f"SELECT count(*) FROM users WHERE {where}")[0][0]


def test_owners_who_remove_each_other_leave_one(race_server: RaceServer) -> None:
    for round_ in range(ROUNDS):
        tenant = race_server.create_tenant()
        opponents = race_server.create_opponents(4, Role.OWNER, tenant)
        answers = race_server.send_simultaneously(
            mutual_removals(opponents, random_for_round(round_))
        )
        assert unexpected_answers(answers) == [], (round_, SEED)
        assert any(answer.succeeded for answer in answers)
        assert active_owner_count(race_server, tenant) >= 1, [str(answer) for answer in answers]


def test_of_owners_who_all_leave_at_once_one_must_stay(race_server: RaceServer) -> None:
    """Each by a contract of its own, and the last is told so in that contract's words."""
    for round_ in range(ROUNDS):
        tenant = race_server.create_tenant()
        opponents = race_server.create_opponents(len(dialects.NAMES), Role.OWNER, tenant)
        shots = [
            self_removal(who, name) for who, name in zip(opponents, dialects.NAMES, strict=True)
        ]
        random_for_round(round_).shuffle(shots)
        answers = race_server.send_simultaneously(shots)
        stay = [answer for answer in answers if not answer.succeeded]
        assert len(stay) == 1, [str(answer) for answer in answers]
        assert is_last_owner_error(stay[0]), str(stay[0])
        assert active_owner_count(race_server, tenant) == 1


SUPERADMINS = (
    f"SELECT id FROM users WHERE role = {int(Role.SUPERADMIN)} AND active AND deleted_at IS NULL"
)


def test_one_superadmin_remains(race_server: RaceServer) -> None:
    """Whether they remove each other or leave, at the one contract that knows them."""
    for round_ in range(ROUNDS):
        left = race_server.query(SUPERADMINS)
        race_server.create_opponents(max(0, 4 - len(left)), Role.SUPERADMIN, None)
        opponents = race_server.with_credentials([row[0] for row in race_server.query(SUPERADMINS)])
        if round_ % 2:
            answers = race_server.send_simultaneously(
                [self_removal(who, "wiwebb") for who in opponents]
            )
            stay = [answer for answer in answers if not answer.succeeded]
            assert [answer.status for answer in stay] == [400], [str(a) for a in answers]
            assert b"At least one active SuperAdmin must remain." in stay[0].body
        else:
            answers = race_server.send_simultaneously(
                mutual_removals(opponents, random_for_round(round_), superadmin_removals)
            )
            assert unexpected_answers(answers) == []
            assert any(answer.succeeded for answer in answers)
        remain = race_server.query(SUPERADMINS)
        assert len(remain) >= 1, [str(answer) for answer in answers]
        assert round_ % 2 == 0 or len(remain) == 1


def test_an_invitation_is_accepted_once(race_server: RaceServer) -> None:
    """Twenty times at the same moment, half of them on the page behind its mail."""
    sender = race_server.world.people["olga"].tokens["vsay"]
    for round_ in range(COSTLY):
        email = f"nora{race_server.number()}@race.test"
        secret = race_server.invitation(email, sender)
        before = user_count(race_server)
        shots = [simultaneous.acceptance(secret, page=bool(n % 2)) for n in range(20)]
        assert (
            single_success_problems(
                race_server.send_simultaneously(shots), is_invalid_invitation_error
            )
            == []
        ), round_
        assert user_count(race_server) == before + 1
        assert name_holder_count(race_server, email) == 1
        used = race_server.query(f"SELECT accepted_by FROM invitations WHERE email_key = '{email}'")
        assert used == race_server.query(f"SELECT id FROM users WHERE email_key = '{email}'")


def test_a_refresh_token_is_spent_once_and_its_reuse_ends_the_family(
    race_server: RaceServer,
) -> None:
    """Of many who present it at once one gets a pair, and no pair of that family opens anything."""
    mia = race_server.world.people["mia"].id
    for round_ in range(ROUNDS):
        given = race_server.session(mia, "vsay")
        spending = RaceRequest(
            "vsay", "POST", "/auth/refresh", {"refresh_token": given.refresh_token}
        )
        answers = race_server.send_simultaneously([spending] * 8)
        assert single_success_problems(answers, is_invalid_credential_error) == [], round_
        won = next(answer for answer in answers if answer.succeeded).json()["data"]
        for token in (given.secret, won["token"]):
            assert is_invalid_credential_error(
                race_server.request(RaceRequest("vsay", "GET", "/auth/me", None, token))
            )
        again = {"refresh_token": won["refresh_token"]}
        assert is_invalid_credential_error(
            race_server.request(RaceRequest("vsay", "POST", "/auth/refresh", again))
        )


def test_a_link_for_a_new_password_works_once(race_server: RaceServer) -> None:
    """Ten times at the same moment with ten passwords, half of them on its page: one is set."""
    acme = race_server.world.tenants["acme"].id
    for round_ in range(COSTLY):
        (user,) = race_server.create_opponents(1, Role.MEMBER, acme)
        secret = race_server.reset_link(user)
        shots: list[RaceRequest] = []
        for n in range(10):
            pair = {"new_password1": f"{PASSWORD}-{n}", "new_password2": f"{PASSWORD}-{n}"}
            if n % 2:
                path = f"/reset/{user.public_id}/{secret}"
                shots.append(RaceRequest("wiwebb", "POST", path, pair, form=True))
            else:
                body = {"uid": user.public_id, "token": secret, **pair}
                path = "/api/v1/auth/password/reset/confirm/"
                shots.append(RaceRequest("wiwebb", "POST", path, body))
        answers = race_server.send_simultaneously(shots)
        assert single_success_problems(answers, is_used_link_error) == [], round_
        (won,) = [answer.request for answer in answers if answer.succeeded]
        for shot in (won, shots[0] if won is not shots[0] else shots[1]):
            password = (shot.body or {})["new_password1"]
            body = {"username": user.email, "password": password}
            entered = race_server.request(
                RaceRequest("wiwebb", "POST", "/api/v1/auth/login/", body)
            )
            assert entered.status == (200 if shot is won else 400), str(entered)
