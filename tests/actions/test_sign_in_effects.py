"""Sign-up, sign-in and password changes: options, side effects and concurrent changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import bcrypt
import pytest

from dragoman.actions import sign_in, tenants, tokens, users
from dragoman.actions.directory import Directory
from dragoman.actions.password_hashing import PasswordHasherPool
from dragoman.actions.steps import guess_limits
from dragoman.actions.tokens import PresentedCredential
from dragoman.rules.credentials import Credential
from dragoman.rules.errors import (
    BadCredentials,
    Forbidden,
    Invalid,
    Problem,
    Reason,
    Unavailable,
)
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import NewUser, Role, TenantChanges, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import UNRESTRICTED
from dragoman.store import users as rows
from tests.support.databases import audit_rows, query
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    anonymous_actor,
    make_user,
    problem_codes,
    transaction,
)

pytestmark = pytest.mark.anyio

NEW_PASSWORD = "another-Kettle-43"
OLD_HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


async def sign_up(directory: Directory, new: NewUser, **more: object) -> tuple[User, Credential]:
    given = {
        "credential_format": CREDENTIAL_FORMAT,
        "rules": PasswordRules(),
        "password": PASSWORD,
        **more,
    }
    return await sign_in.sign_up(directory, anonymous_actor(), new, **given)


async def sign_in_as_mia(
    directory: Directory, name: str = "mia", **more: object
) -> tuple[User, Credential]:
    return await sign_in.sign_in(
        directory, anonymous_actor(), name, PASSWORD, CREDENTIAL_FORMAT, **more
    )


class InterruptingHasherPool(PasswordHasherPool):
    """Hashing threads that do something else before they make a hash."""

    def __init__(self, first: Callable[[], Awaitable[object]]) -> None:
        super().__init__(1)
        self.first = first

    async def hash(self, password: str) -> str:
        await self.first()
        return await super().hash(password)


class TestSignUp:
    async def test_the_first_user_of_a_tenant_becomes_its_owner(self, directory: Directory):
        roles = [
            (await sign_up(directory, NewUser(username=name), first_becomes_owner=True))[0].role
            for name in ("first", "second")
        ]
        assert roles == [Role.OWNER, Role.MEMBER]

    @pytest.mark.parametrize("deleted", [False, True])
    async def test_but_not_if_the_tenant_ever_had_a_user(self, directory: Directory, deleted: bool):
        user, _ = await sign_up(directory, NewUser(username="early"))
        if deleted:
            async with transaction(directory) as tx:
                await users.delete(tx, user.id, erase=True)
        new, _ = await sign_up(directory, NewUser(username="late"), first_becomes_owner=True)
        assert new.role is Role.MEMBER

    async def test_without_a_credential_nobody_has_signed_in(
        self, directory: Directory, database: str
    ):
        user, given = await sign_up(directory, NewUser(username="new"), credential_format=None)
        assert given == Credential("", 0)
        seen = "SELECT last_login_at FROM users WHERE username = 'new'"
        assert (user.last_login_at, await query(database, seen)) == (0, [(0,)])
        assert await query(database, "SELECT count(*) FROM tokens") == [(0,)]
        assert await query(database, "SELECT count(*) FROM addresses") == [(0,)]

    async def test_with_one_it_has_and_its_address_is_known(
        self, directory: Directory, database: str
    ):
        user, _ = await sign_up(directory, NewUser(username="new"))
        ((last,),) = await query(database, "SELECT last_login_at FROM users WHERE username = 'new'")
        assert last > 0
        ((user_id, address),) = await query(database, "SELECT user_id, address FROM addresses")
        assert address
        assert user_id == user.id

    async def test_what_the_contract_found_wrong_is_told_with_the_rest(self, directory: Directory):
        with pytest.raises(Invalid) as refused:
            await sign_up(directory, NewUser(username="a b"), problems=[Problem("person", "null")])
        assert problem_codes(refused) == [("person", "null"), ("username", "username")]
        assert await rows.find_by_login_name(directory.read(SYSTEM_ACTOR), "a b") is None

    async def test_the_alphabet_of_names_is_the_contracts(self, directory: Directory):
        with pytest.raises(Invalid):
            await sign_up(directory, NewUser(username="a b"))
        user, _ = await sign_up(
            directory, NewUser(username="a b"), charset=UsernameCharset.PERMISSIVE
        )
        assert user.username == "a b"

    async def test_a_tenant_that_is_off_is_closed_whatever_is_wrong_besides(
        self, directory: Directory
    ):
        async with transaction(directory) as tx:
            await tenants.update(tx, 1, TenantChanges(active=False), home_slug="elsewhere")
        for username in ("", "a b", "admin"):
            with pytest.raises(Forbidden) as refused:
                await sign_up(directory, NewUser(username=username), password="")
            assert refused.value.reason is Reason.SIGN_UP_DISABLED

    @pytest.mark.parametrize("first_owns", [False, True])
    async def test_a_tenant_that_is_switched_off_meanwhile_is_closed(
        self, directory: Directory, first_owns: bool
    ):
        async def switch_off() -> None:
            async with transaction(directory) as tx:
                await tenants.update(tx, 1, TenantChanges(active=False), home_slug="elsewhere")

        directory.password_hasher.close()
        directory.password_hasher = InterruptingHasherPool(switch_off)
        with pytest.raises(Forbidden) as refused:
            await sign_up(directory, NewUser(username="new"), first_becomes_owner=first_owns)
        assert refused.value.reason is Reason.SIGN_UP_DISABLED
        assert await rows.find_by_login_name(directory.read(SYSTEM_ACTOR), "new") is None


class TestByAddressAlone:
    @pytest.mark.parametrize("name", ["mia@example.com", " MIA@Example.com "])
    async def test_the_address_opens(self, directory: Directory, mia: User, name: str):
        user, _ = await sign_in_as_mia(directory, name, by_email=True)
        assert user.id == mia.id

    async def test_the_username_is_like_one_that_nobody_has(
        self, directory: Directory, mia: User, database: str
    ):
        done = directory.password_hasher.verifications
        before = (await audit_rows(database))[-1].id
        for _ in range(guess_limits.MAX_FAILURES_PER_ADDRESS):
            with pytest.raises(BadCredentials):
                await sign_in_as_mia(directory, by_email=True)
        assert (
            directory.password_hasher.verifications == done + guess_limits.MAX_FAILURES_PER_ADDRESS
        )
        assert {row.target_id for row in await audit_rows(database, before)} == {0}
        await sign_in_as_mia(directory)  # which counted against nobody

    async def test_who_has_no_address_has_no_way_in_there(self, directory: Directory, mia: User):
        await make_user(directory, "max", tenant_id=mia.tenant_id)
        for name in ("max", ""):
            with pytest.raises(BadCredentials):
                await sign_in_as_mia(directory, name, by_email=True)


class RecordingHasherPool(PasswordHasherPool):
    """Hashing threads that note against what they verified."""

    def __init__(self) -> None:
        super().__init__(1)
        self.against: list[str] = []

    async def verify(self, password: str, encoded: str) -> bool:
        self.against.append(encoded)
        return await super().verify(password, encoded)


class TestSignIn:
    async def test_who_is_not_there_is_verified_against_nothing_that_could_be_quicker(
        self, directory: Directory, mia: User
    ):
        """No hash at all stands for one that costs as much as any; another text may not."""
        directory.password_hasher.close()
        directory.password_hasher = noting = RecordingHasherPool()
        for name, by_email in (("nobody", False), ("nobody", True), ("mia", True)):
            with pytest.raises(BadCredentials):
                await sign_in_as_mia(directory, name, by_email=by_email)
        assert noting.against == ["", "", ""]

    async def test_what_it_leaves_behind(self, directory: Directory, mia: User, database: str):
        before = (await audit_rows(database))[-1].id
        user, given = await sign_in_as_mia(directory)
        presented = PresentedCredential(
            credential_format=CREDENTIAL_FORMAT,
            secret=given.secret,
            restrictions=UNRESTRICTED,
            request_id="",
            address="",
        )
        actor = (await tokens.authenticate(directory, presented)).actor
        assert (user.id, actor.user_id) == (mia.id, mia.id)
        (row,) = await audit_rows(database, before)
        assert (row.action, row.target_id) == ("sessions.sign_in", mia.id)
        tenant = f"SELECT tenant_id FROM audit WHERE id = {row.id}"
        assert await query(database, tenant) == [(mia.tenant_id,)]
        ((last,),) = await query(database, "SELECT last_login_at FROM users WHERE username = 'mia'")
        assert last > 0


class TestRehash:
    """A hash of an older kind is replaced by whoever gets in; nothing of that is anybody's bother."""

    @pytest.fixture
    async def user_with_old_hash(self, directory: Directory, mia: User) -> User:
        """Somebody whose hash was imported."""
        async with transaction(directory) as tx:
            await rows.set_password_hash(tx, mia.id, OLD_HASH)
        return mia

    async def meanwhile(
        self, directory: Directory, act: Callable[[], Awaitable[object]]
    ) -> tuple[User, Credential]:
        directory.password_hasher.close()
        directory.password_hasher = InterruptingHasherPool(act)
        return await sign_in_as_mia(directory)

    async def test_a_password_that_was_set_meanwhile_stays(
        self, directory: Directory, user_with_old_hash: User
    ):
        async def set_another() -> None:
            async with transaction(directory) as tx:
                await rows.set_password_hash(tx, user_with_old_hash.id, "set meanwhile")

        await self.meanwhile(directory, set_another)
        assert (
            await rows.password_hash(directory.read(SYSTEM_ACTOR), user_with_old_hash.id)
            == "set meanwhile"
        )

    async def test_who_is_deleted_meanwhile_is_no_error(
        self, directory: Directory, user_with_old_hash: User
    ):
        async def delete() -> None:
            async with transaction(directory) as tx:
                await users.delete(tx, user_with_old_hash.id, erase=True)

        user, _ = await self.meanwhile(directory, delete)
        assert user.id == user_with_old_hash.id

    async def test_a_queue_that_is_full_by_then_is_none_either(
        self, directory: Directory, user_with_old_hash: User
    ):
        async def refuse() -> None:
            raise Unavailable(10)

        user, _ = await self.meanwhile(directory, refuse)
        assert user.id == user_with_old_hash.id
        assert (
            await rows.password_hash(directory.read(SYSTEM_ACTOR), user_with_old_hash.id)
            == OLD_HASH
        )
