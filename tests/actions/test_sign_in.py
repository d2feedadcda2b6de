"""Sign-in: limits on guesses, their cost, and identical refusals."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sys
import threading
import time
from base64 import b64encode
from typing import Any

import bcrypt
import msgspec
import pytest
import sqlalchemy as sa

from dragoman.actions import sign_in, tenants, tokens, user_lists, users
from dragoman.actions.directory import Directory
from dragoman.actions.password_hashing import INITIAL_COST_S, MAX_QUEUE_S, PasswordHasherPool
from dragoman.actions.tokens import PresentedCredential
from dragoman.rules import passwords
from dragoman.rules.actor import Actor
from dragoman.rules.errors import (
    BadCredentials,
    Forbidden,
    Invalid,
    RateLimited,
    Reason,
    Unauthenticated,
    Unavailable,
)
from dragoman.rules.model import HOUR, MINUTE, NewUser, Role, TenantChanges, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import UNRESTRICTED
from dragoman.settings import Settings
from dragoman.store import users as rows
from dragoman.store.query import Query
from dragoman.store.schema import failures
from tests.support.databases import audit_rows, query
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    actor_for,
    anonymous_actor,
    make_tenant,
    make_user,
    open_directory,
    present_credential,
    transaction,
)

pytestmark = pytest.mark.anyio

ADDRESS, OTHER_ADDRESS = "192.0.2.1", "198.51.100.7"


@pytest.fixture
async def mia(directory: Directory) -> User:
    """A member of a tenant, with a username and an address of her own."""
    home = await make_tenant(directory, "home")
    return await make_user(directory, "mia", tenant_id=home, email="mia@example.com")


async def sign_in_outcome(
    directory: Directory, name: str, password: str, address: str = ADDRESS
) -> str:
    """Sign in and return ``in``, ``bad``, or ``limited``."""
    try:
        await sign_in.sign_in(
            directory, anonymous_actor(address), name, password, CREDENTIAL_FORMAT
        )
    except BadCredentials:
        return "bad"
    except RateLimited as error:
        return "limited" if error.retry_after > 0 else "limited for no time"
    return "in"


async def fail(directory: Directory, name: str, times: int, address: str = ADDRESS) -> list[str]:
    return [await sign_in_outcome(directory, name, f"wrong {n}", address) for n in range(times)]


async def shift_times(directory: Directory, microseconds: int) -> None:
    """Let time pass for everything that was counted."""
    moved = sa.update(failures).values(since=failures.c.since - microseconds)
    async with transaction(directory) as tx:
        await tx.run(Query(moved))


class TestTenAMinute:
    async def test_the_eleventh_is_limited_from_this_address_alone(
        self, directory: Directory, mia: User
    ):
        assert await fail(directory, "mia", 10) == ["bad"] * 10
        assert await fail(directory, "mia", 2) == ["limited"] * 2
        assert await sign_in_outcome(directory, "mia", PASSWORD) == "limited"  # even the right one
        assert await sign_in_outcome(directory, "mia", PASSWORD, OTHER_ADDRESS) == "in"
        with pytest.raises(RateLimited) as raised:
            await sign_in.sign_in(
                directory, anonymous_actor(ADDRESS), "mia", PASSWORD, CREDENTIAL_FORMAT
            )
        assert 50 <= raised.value.retry_after <= 60

    async def test_until_the_minute_is_over(self, directory: Directory, mia: User):
        await fail(directory, "mia", 11)
        await shift_times(directory, MINUTE - 5_000_000)
        with pytest.raises(RateLimited) as raised:
            await sign_in.sign_in(
                directory, anonymous_actor(ADDRESS), "mia", PASSWORD, CREDENTIAL_FORMAT
            )
        assert 1 <= raised.value.retry_after <= 5
        await shift_times(directory, 5_000_000)
        assert await sign_in_outcome(directory, "mia", PASSWORD) == "in"
        assert await fail(directory, "mia", 11) == ["bad"] * 10 + ["limited"]

    async def test_all_names_of_an_account_are_one(self, directory: Directory, mia: User):
        names = ["mia", "MIA", "mia@example.com", " Mia@Example.COM ", "ｍｉａ"]
        said = [await sign_in_outcome(directory, names[n % 5], "wrong") for n in range(10)]
        assert said == ["bad"] * 10
        for name in names:
            assert await sign_in_outcome(directory, name, PASSWORD) == "limited"

    async def test_accounts_are_counted_apart(self, directory: Directory, mia: User):
        await make_user(directory, "max", tenant_id=mia.tenant_id)
        await fail(directory, "mia", 10)
        assert await sign_in_outcome(directory, "max", PASSWORD) == "in"

    async def test_names_that_nobody_has_are_limited_alike(self, directory: Directory):
        assert await fail(directory, "nobody", 11) == ["bad"] * 10 + ["limited"]
        assert await sign_in_outcome(directory, " NOBODY", "wrong") == "limited"
        assert await sign_in_outcome(directory, "nobody", "wrong", OTHER_ADDRESS) == "bad"
        assert await sign_in_outcome(directory, "nobody else", "wrong") == "bad"

    async def test_only_failures_count(self, directory: Directory, mia: User):
        for _ in range(15):
            assert await sign_in_outcome(directory, "mia", PASSWORD) == "in"
        await fail(directory, "mia", 9)
        assert await sign_in_outcome(directory, "mia", PASSWORD) == "in"
        assert await fail(directory, "mia", 2) == ["bad", "limited"]  # success forgives nothing

    async def test_what_is_limited_costs_no_work_and_counts_no_more(
        self, directory: Directory, mia: User, database: str
    ):
        await fail(directory, "mia", 10)
        done = directory.password_hasher.verifications
        written = len(await audit_rows(database))
        assert set(await fail(directory, "mia", 5)) == {"limited"}
        assert directory.password_hasher.verifications == done
        assert len(await audit_rows(database)) == written
        counted = await query(database, "SELECT max(count) FROM failures")
        assert counted == [(10,)]

    @pytest.mark.parametrize("name", ["mia", "nobody"])
    async def test_parallel_guesses_get_ten_verdicts_at_most(
        self, directory: Directory, mia: User, name: str
    ):
        said = await asyncio.gather(
            *(sign_in_outcome(directory, name, f"wrong {n}") for n in range(40))
        )
        assert said.count("bad") <= 10
        assert said.count("bad") + said.count("limited") == 40
        assert await sign_in_outcome(directory, name, "wrong") == "limited"

    async def test_two_processes_count_together(
        self, directory: Directory, mia: User, settings: Settings
    ):
        async with open_directory(settings) as second:
            said = await asyncio.gather(
                *(
                    sign_in_outcome(d, "mia", f"wrong {n}")
                    for n in range(12)
                    for d in (directory, second)
                )
            )
        assert said.count("bad") <= 10

    async def test_the_tables_hold_neither_names_nor_addresses(
        self, directory: Directory, mia: User, database: str
    ):
        await fail(directory, "my password in the wrong field", 1)
        await sign_in_outcome(directory, "mia", PASSWORD)
        found = await query(database, "SELECT account, address FROM failures")
        found += await query(database, "SELECT '', address FROM addresses")
        assert found
        assert not any("password" in account or ADDRESS in address for account, address in found)


class TestHundredAnHour:
    async def exhaust(self, directory: Directory, name: str) -> list[str]:
        """Fail a hundred times, from a hundred addresses."""
        said: list[str] = []
        for start in range(0, 100, 10):
            said += await asyncio.gather(
                *(
                    sign_in_outcome(directory, name, "wrong", f"203.0.113.{start + n}")
                    for n in range(10)
                )
            )
        return said

    async def test_then_only_addresses_that_have_signed_in_before(
        self, directory: Directory, mia: User
    ):
        assert await sign_in_outcome(directory, "mia", PASSWORD, OTHER_ADDRESS) == "in"
        assert await self.exhaust(directory, "mia") == ["bad"] * 100
        assert await sign_in_outcome(directory, "mia", PASSWORD, ADDRESS) == "limited"
        assert await sign_in_outcome(directory, "mia@example.com", PASSWORD, ADDRESS) == "limited"
        assert await sign_in_outcome(directory, "mia", "wrong", OTHER_ADDRESS) == "bad"
        assert await sign_in_outcome(directory, "mia", PASSWORD, OTHER_ADDRESS) == "in"
        with pytest.raises(RateLimited) as raised:
            await sign_in.sign_in(
                directory, anonymous_actor(ADDRESS), "mia", PASSWORD, CREDENTIAL_FORMAT
            )
        assert 3000 < raised.value.retry_after <= 3600
        await shift_times(directory, HOUR)
        assert await sign_in_outcome(directory, "mia", PASSWORD, ADDRESS) == "in"

    async def test_names_that_nobody_has_likewise(self, directory: Directory):
        await self.exhaust(directory, "nobody")
        assert await sign_in_outcome(directory, "nobody", "wrong", ADDRESS) == "limited"

    async def test_one_user_s_address_is_no_other_s(self, directory: Directory, mia: User):
        await make_user(directory, "max", tenant_id=mia.tenant_id)
        assert await sign_in_outcome(directory, "max", PASSWORD, OTHER_ADDRESS) == "in"
        await self.exhaust(directory, "mia")
        assert await sign_in_outcome(directory, "mia", PASSWORD, OTHER_ADDRESS) == "limited"


class TestConstantWork:
    async def people(self, directory: Directory) -> dict[str, tuple[str, str]]:
        """Return who cannot sign in, why, and with which password."""
        home, shut = await make_tenant(directory, "home"), await make_tenant(directory, "shut")
        off = await make_user(directory, "off", tenant_id=home)
        gone = await make_user(directory, "gone", tenant_id=home)
        erased = await make_user(directory, "erased", tenant_id=home)
        await make_user(directory, "shut", tenant_id=shut)
        await make_user(directory, "wrong", tenant_id=home)
        keyless = await make_user(directory, "keyless", tenant_id=home)
        async with transaction(directory) as tx:
            await users.set_active(tx, off.id, active=False)
            await users.delete(tx, gone.id, erase=False)
            await users.delete(tx, erased.id, erase=True)
            await tenants.update(tx, shut, TenantChanges(active=False), home_slug="main")
            await rows.set_password_hash(tx, keyless.id, "")
        return {
            "unknown": ("nobody", PASSWORD),
            "wrong": ("wrong", "wrong"),
            "empty": ("wrong", ""),
            "too long": ("wrong", "x" * 2000),
            "inactive": ("off", PASSWORD),
            "inactive and wrong": ("off", "wrong"),
            "deleted": ("gone", PASSWORD),
            "erased": ("erased", PASSWORD),
            "tenant off": ("shut", PASSWORD),
            "without a password": ("keyless", PASSWORD),
            "without a password, nor given one": ("keyless", ""),
            "no name": ("", PASSWORD),
        }

    async def test_every_refusal_is_one_verification_and_the_same_fact(self, directory: Directory):
        facts: set[tuple[Any, ...]] = set()
        for why, (name, password) in (await self.people(directory)).items():
            done = directory.password_hasher.verifications
            with pytest.raises(BadCredentials) as refused:
                await sign_in.sign_in(
                    directory, anonymous_actor(), name, password, CREDENTIAL_FORMAT
                )
            facts.add((type(refused.value), refused.value.args, str(refused.value)))
            assert directory.password_hasher.verifications == done + 1, why
        assert len(facts) == 1

    async def test_a_success_too(self, directory: Directory, mia: User):
        done = directory.password_hasher.verifications
        assert await sign_in_outcome(directory, "mia", PASSWORD) == "in"
        assert directory.password_hasher.verifications == done + 1

    async def test_they_all_leave_one_row_of_history(self, directory: Directory, database: str):
        for why, (name, password) in (await self.people(directory)).items():
            before = (await audit_rows(database))[-1].id
            await sign_in_outcome(directory, name, password)
            assert [row.action for row in await audit_rows(database, before)] == [
                "sessions.sign_in_failed"
            ], why

    async def test_who_is_off_gets_no_fresh_hash_either(self, directory: Directory, mia: User):
        """Else the work would tell that the password was right."""
        old = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        async with transaction(directory) as tx:
            await rows.set_password_hash(tx, mia.id, old)
            await users.set_active(tx, mia.id, active=False)
        directory.password_hasher = counting = CountingHasherPool(1)
        assert await sign_in_outcome(directory, "mia", PASSWORD) == "bad"
        assert counting.hashes == 0
        counting.close()


def test_no_hash_costs_as_much_as_one(monkeypatch: pytest.MonkeyPatch):
    """Where there is none, one that is nobody's is verified: see ``test_the_dummy_costs_the_same``."""
    verified: list[tuple[str, str]] = []
    real = passwords.verify_password

    def verify(password: str, encoded: str) -> bool:
        verified.append((password, encoded))
        return real(password, encoded)

    monkeypatch.setattr(passwords, "verify_password", verify)
    hashing = PasswordHasherPool(1)
    encoded = passwords.hash_password(PASSWORD)
    assert not asyncio.run(hashing.verify("wrong", encoded))
    assert not asyncio.run(hashing.verify("wrong", ""))
    hashing.close()
    assert verified == [("wrong", encoded), ("wrong", passwords.DUMMY_HASH)]


class CountingHasherPool(PasswordHasherPool):
    """The hashing threads, with a note of how many hashes they made."""

    hashes = 0

    async def hash(self, password: str) -> str:
        self.hashes += 1
        return await super().hash(password)


def _pbkdf2(password: str) -> str:
    raw = hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", 1000)
    return f"pbkdf2_sha256$1000$salt${b64encode(raw).decode()}"


IMPORTED = {
    "bcrypt": lambda p: bcrypt.hashpw(p.encode(), bcrypt.gensalt(4)).decode(),
    "pbkdf2": _pbkdf2,
    "meteor": lambda p: (
        "meteor$"
        + bcrypt.hashpw(hashlib.sha256(p.encode()).hexdigest().encode(), bcrypt.gensalt(4)).decode()
    ),
}


class TestImportedHashes:
    async def test_success_makes_a_fresh_hash_and_ends_no_session(
        self, directory: Directory, mia: User
    ):
        held = await present_credential(directory, mia.id)
        for make in IMPORTED.values():
            async with transaction(directory) as tx:
                await rows.set_password_hash(tx, mia.id, make(PASSWORD))
            assert await sign_in_outcome(directory, "mia", "wrong") == "bad"
            read = directory.read(SYSTEM_ACTOR)
            assert not (await rows.password_hash(read, mia.id)).startswith("$argon2id")
            done = directory.password_hasher.verifications
            assert await sign_in_outcome(directory, "mia", PASSWORD) == "in"
            assert directory.password_hasher.verifications == done + 1
            assert (await rows.password_hash(read, mia.id)).startswith("$argon2id$")
            assert await sign_in_outcome(directory, "mia", PASSWORD) == "in"
        await tokens.authenticate(directory, held)

    async def test_a_current_hash_stays(self, directory: Directory, mia: User):
        read = directory.read(SYSTEM_ACTOR)
        before = await rows.password_hash(read, mia.id)
        await sign_in_outcome(directory, "mia", PASSWORD)
        assert await rows.password_hash(read, mia.id) == before


class TestDeactivatedWhileHashing:
    """Hashing takes its time; whoever is switched off in it does not enter."""

    @pytest.mark.parametrize("act", ["off", "delete", "tenant", "password"])
    async def test_it_is_refused(self, directory: Directory, mia: User, act: str):
        started, go = asyncio.Event(), asyncio.Event()

        class Slow(PasswordHasherPool):
            async def verify(self, password: str, encoded: str) -> bool:
                right = await super().verify(password, encoded)
                started.set()
                await go.wait()
                return right

        directory.password_hasher.close()
        directory.password_hasher = Slow(1)
        entering = asyncio.create_task(sign_in_outcome(directory, "mia", PASSWORD))
        await asyncio.wait_for(started.wait(), 5)
        async with transaction(directory) as tx:
            if act == "off":
                await users.set_active(tx, mia.id, active=False)
            elif act == "delete":
                await users.delete(tx, mia.id, erase=True)
            elif act == "tenant":
                assert mia.tenant_id is not None
                await tenants.update(
                    tx, mia.tenant_id, TenantChanges(active=False), home_slug="main"
                )
            else:
                await rows.set_password_hash(tx, mia.id, "$argon2id$another")
        go.set()
        assert await asyncio.wait_for(entering, 5) == "bad"


class TestChangePassword:
    async def actor(self, directory: Directory, mia: User) -> tuple[Actor, PresentedCredential]:
        held = await present_credential(directory, mia.id)
        actor = (await tokens.authenticate(directory, held)).actor
        return actor, held

    async def test_the_session_stays_and_all_others_end(
        self, directory: Directory, mia: User, database: str
    ):
        actor, mine = await self.actor(directory, mia)
        other = await present_credential(directory, mia.id)
        before = (await audit_rows(database))[-1].id
        await sign_in.change_password(
            directory, actor, PASSWORD, "another-Kettle-43", PasswordRules()
        )
        await tokens.authenticate(directory, mine)
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(directory, other)
        rows_ = await audit_rows(database, before)
        assert [(row.action, row.fields) for row in rows_] == [
            ("users.change_password", "password")
        ]
        assert await sign_in_outcome(directory, "mia", PASSWORD) == "bad"
        assert await sign_in_outcome(directory, "mia", "another-Kettle-43") == "in"

    async def test_it_can_be_changed_again_in_the_session_that_stayed(
        self, directory: Directory, mia: User
    ):
        _, mine = await self.actor(directory, mia)
        current = PASSWORD
        for fresh in ("another-Kettle-43", "a-third-Kettle-44"):
            actor = (await tokens.authenticate(directory, mine)).actor
            await sign_in.change_password(directory, actor, current, fresh, PasswordRules())
            current = fresh
        assert await sign_in_outcome(directory, "mia", current) == "in"

    async def test_a_wrong_current_one_changes_nothing_and_counts(
        self, directory: Directory, mia: User
    ):
        actor, mine = await self.actor(directory, mia)
        for _ in range(10):
            with pytest.raises(Invalid) as refused:
                await sign_in.change_password(
                    directory, actor, "wrong", "another-Kettle-43", PasswordRules()
                )
            (problem,) = refused.value.problems
            assert (problem.field, problem.code) == ("current", "wrong")
        with pytest.raises(RateLimited):
            await sign_in.change_password(
                directory, actor, PASSWORD, "another-Kettle-43", PasswordRules()
            )
        await tokens.authenticate(directory, mine)
        assert await sign_in_outcome(directory, "mia", PASSWORD, OTHER_ADDRESS) == "in"

    async def test_parallel_guesses_of_the_current_one_get_ten_verdicts_at_most(
        self, directory: Directory, mia: User
    ):
        """Whoever holds a stolen session must not be able to try passwords by the thousand."""
        actor, _ = await self.actor(directory, mia)

        async def guess(n: int) -> str:
            try:
                await sign_in.change_password(
                    directory, actor, f"wrong {n}", "another-Kettle-43", PasswordRules()
                )
            except Invalid:
                return "wrong"
            except RateLimited:
                return "limited"
            return "changed"

        said = await asyncio.gather(*(guess(n) for n in range(40)))
        assert said.count("wrong") <= 10
        assert said.count("wrong") + said.count("limited") == 40

    async def test_sign_in_and_change_count_together(self, directory: Directory, mia: User):
        actor, _ = await self.actor(directory, mia)
        actor = msgspec.structs.replace(actor, address=ADDRESS)
        await fail(directory, "mia", 9)
        with pytest.raises(Invalid):
            await sign_in.change_password(
                directory, actor, "wrong", "another-Kettle-43", PasswordRules()
            )
        assert await sign_in_outcome(directory, "mia", PASSWORD) == "limited"

    async def test_everything_wrong_is_told_at_once(self, directory: Directory, mia: User):
        actor, _ = await self.actor(directory, mia)
        rules = PasswordRules(min_length=8, reject_common=True)
        with pytest.raises(Invalid) as refused:
            await sign_in.change_password(directory, actor, "wrong", "qwerty", rules)
        assert {(p.field, p.code) for p in refused.value.problems} == {
            ("password", "too_short"),
            ("password", "common"),
            ("current", "wrong"),
        }
        assert await sign_in_outcome(directory, "mia", PASSWORD) == "in"

    async def test_a_visitor_and_a_machine_have_no_password(self, directory: Directory):
        for who in (anonymous_actor(), SYSTEM_ACTOR):
            with pytest.raises((Forbidden, Unauthenticated)):
                await sign_in.change_password(directory, who, PASSWORD, "x", PasswordRules())


class TestSignUp:
    async def test_a_newcomer_is_a_member_of_the_settings_tenant_whatever_is_asked_for(
        self, directory: Directory, database: str
    ):
        away = await make_tenant(directory, "away")
        new = NewUser(username="new", role=Role.SUPERADMIN, tenant_id=away, active=False)
        before = (await audit_rows(database))[-1].id
        user, given = await sign_in.sign_up(
            directory, anonymous_actor(), new, PASSWORD, PasswordRules(), CREDENTIAL_FORMAT
        )
        assert (user.role, user.tenant_name, user.active) == (Role.MEMBER, "main", True)
        presented = PresentedCredential(
            credential_format=CREDENTIAL_FORMAT,
            secret=given.secret,
            restrictions=UNRESTRICTED,
            request_id="",
            address="",
        )
        actor = (await tokens.authenticate(directory, presented)).actor
        assert actor.is_user(user.id)
        (row,) = await audit_rows(database, before)
        assert (row.actor_kind, row.action, row.target_id) == ("visitor", "users.sign_up", user.id)

    async def test_it_is_closed_by_the_settings(self, settings: Settings):
        closed = msgspec.structs.replace(settings, self_registration=False)
        async with open_directory(closed) as directory:
            with pytest.raises(Forbidden) as refused:
                await sign_in.sign_up(
                    directory,
                    anonymous_actor(),
                    NewUser(username="new"),
                    PASSWORD,
                    PasswordRules(),
                    CREDENTIAL_FORMAT,
                )
        assert refused.value.reason is Reason.SIGN_UP_DISABLED

    async def test_closed_is_closed_whatever_is_wrong_besides(self, settings: Settings):
        closed = msgspec.structs.replace(settings, self_registration=False)
        async with open_directory(closed) as directory:
            for username in ("admin", "", "a b"):
                with pytest.raises(Forbidden):
                    await sign_in.sign_up(
                        directory,
                        anonymous_actor(),
                        NewUser(username=username),
                        "",
                        PasswordRules(),
                        CREDENTIAL_FORMAT,
                    )

    @pytest.mark.parametrize("act", ["off", "gone"])
    async def test_it_is_closed_where_the_tenant_is_off_or_gone(
        self, directory: Directory, act: str
    ):
        async with transaction(directory) as tx:
            if act == "off":
                await tenants.update(tx, 1, TenantChanges(active=False), home_slug="main")
            else:
                await tenants.delete(tx, 1, home_slug="")
        with pytest.raises(Forbidden) as refused:
            await sign_in.sign_up(
                directory,
                anonymous_actor(),
                NewUser(username="new"),
                PASSWORD,
                PasswordRules(),
                CREDENTIAL_FORMAT,
            )
        assert refused.value.reason is Reason.SIGN_UP_DISABLED

    async def test_of_those_who_come_at_once_under_one_name_one_enters(
        self, directory: Directory, database: str
    ):
        async def come(n: int) -> str:
            new = NewUser(username="new" if n % 2 else "NEW")
            try:
                await sign_in.sign_up(
                    directory, anonymous_actor(), new, PASSWORD, PasswordRules(), CREDENTIAL_FORMAT
                )
            except Invalid as error:
                return ",".join(problem.code for problem in error.problems)
            return "in"

        said = await asyncio.gather(*(come(n) for n in range(6)))
        assert sorted(said) == ["in", *["taken"] * 5]
        assert await query(database, "SELECT count(*) FROM tokens") == [(1,)]


class TestHashingQueue:
    @contextlib.contextmanager
    def hashing(self, threads: int = 1):
        made = PasswordHasherPool(threads)
        try:
            yield made
        finally:
            made.close()

    async def test_beyond_ten_seconds_of_work_callers_are_asked_to_come_back(self):
        with self.hashing() as hashing:
            go = threading.Event()
            tasks = [asyncio.create_task(hashing._run(go.wait)) for _ in range(1000)]
            await asyncio.sleep(0)
            refused = [task for task in tasks if task.done()]
            assert hashing.load_shedder.in_use == round(MAX_QUEUE_S / INITIAL_COST_S) + 1
            assert len(refused) == 1000 - hashing.load_shedder.in_use
            for task in refused:
                error = task.exception()
                assert isinstance(error, Unavailable)
                assert error.retry_after >= MAX_QUEUE_S
            go.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert hashing.load_shedder.in_use == 0
            assert await hashing.verify("x", await hashing.hash("x"))

    @pytest.mark.skipif(sys.platform != "linux", reason="threads have no priorities of their own")
    async def test_a_hash_stands_back_and_nobody_else_does(self):
        def asked() -> tuple[int, int]:
            niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            return niceness, os.sched_getscheduler(0)

        before = asked()
        with self.hashing() as hashing:
            niceness, policy = await hashing._run(asked)
        assert niceness >= min(19, before[0] + 1)
        assert policy == os.SCHED_BATCH
        assert asked() == before

    async def test_an_error_in_a_hash_leaves_the_queue_as_it_was(self):
        with self.hashing() as hashing:
            with pytest.raises(UnicodeEncodeError):
                await hashing.hash("\ud800")
            assert hashing.load_shedder.in_use == 0

    async def test_who_finds_it_full_is_told_so_and_nothing_is_counted(
        self, directory: Directory, mia: User, database: str
    ):
        directory.password_hasher.load_shedder.in_use += 100_000
        before = len(await audit_rows(database))
        try:
            for work in (
                sign_in.sign_in(directory, anonymous_actor(), "mia", PASSWORD, CREDENTIAL_FORMAT),
                sign_in.sign_in(
                    directory, anonymous_actor(), "nobody", PASSWORD, CREDENTIAL_FORMAT
                ),
                make_user(directory, "new", tenant_id=1),
                users.set_password(
                    directory, SYSTEM_ACTOR, mia.id, "another-Kettle-43", PasswordRules()
                ),
            ):
                with pytest.raises(Unavailable) as raised:
                    await work
                assert raised.value.retry_after >= MAX_QUEUE_S
        finally:
            directory.password_hasher.load_shedder.in_use -= 100_000
        assert len(await audit_rows(database)) == before
        assert await query(database, "SELECT count(*) FROM failures") == [(0,)]
        assert await sign_in_outcome(directory, "mia", PASSWORD) == "in"

    async def test_reads_go_on_while_it_works(self, directory: Directory, mia: User):
        actor = await actor_for(directory, mia.id)
        hashing = [
            asyncio.create_task(directory.password_hasher._run(lambda: time.sleep(0.1)))
            for _ in range(8)
        ]
        await asyncio.sleep(0)
        began = time.monotonic()
        await user_lists.get(directory.read(actor), mia.id)
        assert time.monotonic() - began < 0.1 * 8 / (os.cpu_count() or 1)
        await asyncio.gather(*hashing)
