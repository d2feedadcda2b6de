"""Invitations: from sending to acceptance, every way to become invalid, and races."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from dragoman.actions import access, invitations, sign_in, tenants, tokens, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import open_invitations
from dragoman.actions.tokens import PresentedCredential
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import Credential
from dragoman.rules.errors import (
    DirectoryError,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    RateLimited,
    Reason,
    Taken,
)
from dragoman.rules.model import DAY, HOUR, Access, Invitation, NewUser, Role, TenantChanges, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import NONE, TENANT, UNRESTRICTED, Action, Restrictions
from dragoman.store import grants, schema, sign_in_failures
from dragoman.store import invitations as rows
from dragoman.store import users as user_store
from dragoman.store.query import Query
from tests.support.databases import audit_rows, query
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    UserRow,
    actor_for,
    insert_users,
    make_tenant,
    transaction,
)

pytestmark = pytest.mark.anyio

INVITE = 9
"""The id of the permission ``invitations.manage`` in the catalogue."""
EMAIL = "Nora@Example.com"
RESTRICTIONS = Restrictions()  # platform administrators act as owners, as at most contracts
VISITOR = Actor(kind="visitor", contract="tests", restrictions=RESTRICTIONS, address="192.0.2.1")


class People(msgspec.Struct, frozen=True):
    """Who plays: two owners and two members of one tenant, an owner of another."""

    home: int
    away: int
    olga: int
    otto: int
    mia: int
    max: int
    gil: int


@pytest.fixture
async def invitation_people(directory: Directory) -> People:
    """Those who play, without passwords."""
    home, away = await make_tenant(directory, "home"), await make_tenant(directory, "away")
    made = [
        UserRow(username="olga", role=Role.OWNER, tenant_id=home),
        UserRow(username="otto", role=Role.OWNER, tenant_id=home),
        UserRow(username="mia", tenant_id=home, email="mia@example.com"),
        UserRow(username="max", tenant_id=home),
        UserRow(username="gil", role=Role.OWNER, tenant_id=away),
    ]
    async with transaction(directory) as tx:
        return People(home, away, *await insert_users(tx, made))


@pytest.fixture
async def olga(directory: Directory, invitation_people: People) -> Actor:
    """An owner, as actor."""
    return await actor_for(directory, invitation_people.olga, RESTRICTIONS)


async def invite(directory: Directory, actor: Actor, email: str = EMAIL, **more: Any) -> Invitation:
    given = {"name": "Nora van Dyck", "role": Role.MEMBER, **more}
    async with transaction(directory, actor) as tx:
        return await invitations.invite(tx, email=email, **given)


async def resend(directory: Directory, actor: Actor, invitation: Invitation) -> Invitation:
    async with transaction(directory, actor) as tx:
        return await invitations.resend(tx, invitation.public_id)


async def revoke(directory: Directory, actor: Actor, invitation: Invitation) -> None:
    async with transaction(directory, actor) as tx:
        await invitations.revoke(tx, invitation.public_id)


async def accept(
    directory: Directory, secret: str, password: str = PASSWORD, name: str = "", **more: Any
) -> tuple[User, Credential]:
    return await invitations.accept(
        directory, VISITOR, secret, password, name, PasswordRules(), CREDENTIAL_FORMAT, **more
    )


async def statuses(directory: Directory, actor: Actor) -> list[str]:
    page = await invitations.list_page(directory.read(actor), limit=100, offset=0)
    assert page.count == len(page.rows)
    return [offer.status for offer in page.rows]


async def change(directory: Directory, statement: Any) -> None:
    async with transaction(directory) as tx:
        await tx.run(Query(statement))


async def grant_manage(
    directory: Directory, user_id: int, restrictions: Restrictions = RESTRICTIONS
) -> Actor:
    """Return a member who was granted ``invitations.manage``."""
    async with transaction(directory) as tx:
        await grants.add(tx, user_id, [INVITE])
    return await actor_for(directory, user_id, restrictions)


async def outcome(work: Awaitable[Any]) -> str:
    """Return what came of it: ``done`` or the fact's name."""
    try:
        await work
    except DirectoryError as error:
        return f"{type(error).__name__}({error})"
    return "done"


async def all_rows(database: str) -> str:
    """Return every row of every table, as text."""
    tables = schema.metadata.sorted_tables
    return "\n".join([str(await query(database, f"SELECT * FROM {t.name}")) for t in tables])


class TestTheWholeLife:
    async def test_from_the_invitation_to_the_first_sign_in(
        self, directory: Directory, invitation_people: People, olga: Actor, database: str
    ):
        before = (await audit_rows(database))[-1].id
        made = await invite(directory, olga, f" {EMAIL} ", resources=("b", "a", "b"))
        assert (made.tenant_id, made.email, made.role) == (
            invitation_people.home,
            EMAIL,
            Role.MEMBER,
        )
        assert made.resources == ("b", "a")
        assert made.expires_at - made.created_at == 7 * DAY
        assert await statuses(directory, olga) == ["pending"]
        assert await user_store.find_by_login_name(directory.read(SYSTEM_ACTOR), EMAIL) is None, (
            "no user yet"
        )

        secret = open_invitations.link_secret(directory, made)
        for _ in range(3):  # looking uses nothing up
            shown = await invitations.get_open(directory, VISITOR, secret)
            assert (shown.invitation, shown.tenant.name) == (made, "home")
        user, credential = await accept(directory, secret)
        assert (user.username, user.email) == (EMAIL, EMAIL)
        assert (user.tenant_id, user.role, user.verified) == (
            invitation_people.home,
            Role.MEMBER,
            True,
        )
        assert user.display_name == "Nora van Dyck"
        assert (user.first_name, user.last_name) == ("Nora", "van Dyck")
        assert await statuses(directory, olga) == ["accepted"]
        assert await access.list_for_user(directory.read(olga), user) == [
            Access("a", "full"),
            Access("b", "full"),
        ]

        presented = PresentedCredential(
            credential_format=CREDENTIAL_FORMAT,
            secret=credential.secret,
            restrictions=RESTRICTIONS,
            request_id="",
            address="",
        )
        actor = (await tokens.authenticate(directory, presented)).actor
        assert actor.user_id == user.id
        now, _ = await sign_in.sign_in(
            directory, VISITOR, EMAIL.lower(), PASSWORD, CREDENTIAL_FORMAT
        )
        assert now.id == user.id
        assert now.last_login_at > 0
        assert [(row.action, row.target_kind) for row in await audit_rows(database, before)] == [
            ("invitations.send", "invitation"),
            ("invitations.accept", "user"),
            ("invitations.accept", "invitation"),
            ("sessions.sign_in", "user"),
        ]

    async def test_the_invited_may_choose_another_name(self, directory: Directory, olga: Actor):
        made = await invite(directory, olga)
        user, _ = await accept(
            directory, open_invitations.link_secret(directory, made), name="  Nóra "
        )
        assert (user.display_name, user.first_name, user.last_name) == ("Nóra", "Nóra", "")

    async def test_nobody_needs_a_name(self, directory: Directory, olga: Actor):
        made = await invite(directory, olga, name="")
        user, _ = await accept(directory, open_invitations.link_secret(directory, made))
        assert user.display_name == ""

    @pytest.mark.parametrize("role", [Role.OWNER, Role.MEMBER, Role.VIEWER])
    async def test_the_role_is_that_of_the_invitation(
        self, directory: Directory, olga: Actor, role: Role
    ):
        made = await invite(directory, olga, role=role)
        user, _ = await accept(directory, open_invitations.link_secret(directory, made))
        assert user.role is role

    async def test_no_secret_is_in_the_tables(
        self, directory: Directory, olga: Actor, database: str
    ):
        first = await invite(directory, olga)
        second = await resend(directory, olga, first)
        found = await all_rows(database)
        _, credential = await accept(directory, open_invitations.link_secret(directory, second))
        found += await all_rows(database)
        for each in (first, second):
            secret = open_invitations.link_secret(directory, each)
            assert len(secret) == 60
            assert secret[17:] not in found
        assert credential.secret not in found
        assert PASSWORD not in found

    async def test_an_administrator_of_the_platform_invites_to_the_home_tenant(
        self, directory: Directory, invitation_people: People
    ):
        root = await actor_for(directory, 1, RESTRICTIONS)
        made = await invite(directory, root, role=Role.OWNER)
        assert made.tenant_id == await directory.home_tenant_id()
        user, _ = await accept(directory, open_invitations.link_secret(directory, made))
        assert user.tenant_id == await directory.home_tenant_id()

    async def test_where_nobody_stands_in_a_tenant_nobody_is_invited(self, directory: Directory):
        root = await actor_for(directory, 1, UNRESTRICTED)
        with pytest.raises(Forbidden) as refused:
            await invite(directory, root)
        assert refused.value.reason is Reason.REACH


Invalidation = Callable[[Directory, People, Actor, Invitation], Awaitable[str | None]]


async def already_used(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    await accept(directory, open_invitations.link_secret(directory, made))


async def resent(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    await resend(directory, olga, made)


async def revoked(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    await revoke(directory, olga, made)


async def expired(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    await change(directory, sa.update(schema.invitations).values(expires_at=1))


async def erased(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    async with transaction(directory) as tx:
        await rows.erase_for_user(tx, EMAIL.lower())


async def joined_and_deleted(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    async with transaction(directory) as tx:
        (nora,) = await insert_users(
            tx, [UserRow(username="nora", tenant_id=invitation_people.home, email=EMAIL)]
        )
        await users.delete(tx, nora, erase=False)


async def demoted(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    async with transaction(directory) as tx:
        await users.assign_role(tx, invitation_people.olga, Role.MEMBER)


async def switched_off(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    async with transaction(directory) as tx:
        await users.set_active(tx, invitation_people.olga, active=False)


async def deleted(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    async with transaction(directory) as tx:
        await users.delete(tx, invitation_people.olga, erase=True)


async def moved(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    moving = sa.update(schema.users).where(schema.users.c.id == invitation_people.olga)
    await change(directory, moving.values(tenant_id=invitation_people.away))


async def tenant_off(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    async with transaction(directory) as tx:
        await tenants.update(
            tx, invitation_people.home, TenantChanges(active=False), home_slug="main"
        )


async def tenant_gone(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> None:
    # Its inviter stands above tenants, so that the tenant alone is what is missing.
    root = sa.update(schema.invitations).values(inviter_id=1)
    await change(directory, root)
    gone = sa.update(schema.tenants).where(schema.tenants.c.id == invitation_people.home)
    await change(directory, gone.values(deleted_at=1))


async def unknown(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> str:
    return "2" * 60


async def secret_of_another(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> str:
    other = await invite(directory, olga, "other@example.com")
    return made.public_id + open_invitations.link_secret(directory, other)[17:]


async def half_a_secret(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> str:
    return open_invitations.link_secret(directory, made)[:-1]


async def longer_secret(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> str:
    return open_invitations.link_secret(directory, made) + "A"


async def id_alone(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> str:
    return made.public_id


async def empty_secret(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> str:
    return ""


async def invalid_text(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> str:
    return "\x00\ud800" * 30


async def invalid_text_suffix(
    directory: Directory, invitation_people: People, olga: Actor, made: Invitation
) -> str:
    return made.public_id + "\x00\ud800" * 20


INVITER_LOST_RIGHT = [demoted, switched_off, deleted, moved]
INVALIDATIONS: list[Invalidation] = [
    already_used,
    resent,
    revoked,
    expired,
    erased,
    joined_and_deleted,
    *INVITER_LOST_RIGHT,
    tenant_off,
    tenant_gone,
]
BAD_SECRETS: list[Invalidation] = [
    unknown, secret_of_another, half_a_secret, longer_secret, id_alone, empty_secret, invalid_text, invalid_text_suffix,
]  # fmt: skip


class TestInvalidLinks:
    @pytest.mark.parametrize(
        "death", [*INVALIDATIONS, *BAD_SECRETS], ids=lambda death: death.__name__
    )
    async def test_every_dead_one_is_like_one_that_never_was(
        self, directory: Directory, invitation_people: People, olga: Actor, death: Invalidation
    ):
        made = await invite(directory, olga)
        secret = open_invitations.link_secret(directory, made)
        secret = (
            other
            if (other := await death(directory, invitation_people, olga, made)) is not None
            else secret
        )
        for work in (
            invitations.get_open(directory, VISITOR, secret),
            accept(directory, secret),
            accept(directory, secret, password="x", problems=[Problem("name", "null")]),
        ):
            with pytest.raises(NotFound) as raised:
                await work
            assert (type(raised.value), raised.value.args) == (NotFound, ()), (
                "and nothing else told"
            )

    @pytest.mark.parametrize(
        "death", [already_used, revoked, expired, *INVITER_LOST_RIGHT], ids=lambda d: d.__name__
    )
    async def test_a_dead_one_is_not_sent_again(
        self, directory: Directory, invitation_people: People, olga: Actor, death: Invalidation
    ):
        made = await invite(directory, olga)
        await death(directory, invitation_people, olga, made)
        otto = await actor_for(directory, invitation_people.otto, RESTRICTIONS)
        with pytest.raises(NotFound):
            await resend(directory, otto, made)

    @pytest.mark.parametrize(
        "death", [already_used, revoked, expired, *INVITER_LOST_RIGHT], ids=lambda d: d.__name__
    )
    async def test_nor_taken_back(
        self, directory: Directory, invitation_people: People, olga: Actor, death: Invalidation
    ):
        made = await invite(directory, olga)
        await death(directory, invitation_people, olga, made)
        otto = await actor_for(directory, invitation_people.otto, RESTRICTIONS)
        with pytest.raises(NotFound):
            await revoke(directory, otto, made)

    @pytest.mark.parametrize(
        ("death", "word"),
        [
            (already_used, "accepted"),
            (revoked, "revoked"),
            (expired, "expired"),
            (demoted, "revoked"),
        ],
        ids=lambda each: getattr(each, "__name__", each),
    )
    async def test_it_is_listed_by_what_became_of_it(
        self,
        directory: Directory,
        invitation_people: People,
        olga: Actor,
        death: Invalidation,
        word: str,
    ):
        made = await invite(directory, olga)
        await death(directory, invitation_people, olga, made)
        assert await statuses(
            directory, await actor_for(directory, invitation_people.otto, RESTRICTIONS)
        ) == [word]

    @pytest.mark.parametrize(
        "death", [revoked, expired, *INVITER_LOST_RIGHT], ids=lambda d: d.__name__
    )
    async def test_it_bars_nobody_from_being_invited_anew(
        self, directory: Directory, invitation_people: People, olga: Actor, death: Invalidation
    ):
        made = await invite(directory, olga)
        await death(directory, invitation_people, olga, made)
        otto = await actor_for(directory, invitation_people.otto, RESTRICTIONS)
        again = await invite(directory, otto)
        await accept(directory, open_invitations.link_secret(directory, again))

    async def test_erasing_leaves_neither_address_nor_name(
        self, directory: Directory, invitation_people: People, olga: Actor, database: str
    ):
        made = await invite(directory, olga)
        kept = await invite(directory, olga, "kept@example.com", name="Ken")
        await erased(directory, invitation_people, olga, made)
        found = await all_rows(database)
        assert "nora" not in found.lower()
        assert "kept@example.com" in found
        await accept(directory, open_invitations.link_secret(directory, kept))


class TestTheInvitersRight:
    async def test_a_member_with_the_permission_may(
        self, directory: Directory, invitation_people: People
    ):
        mia = await grant_manage(directory, invitation_people.mia)
        made = await invite(directory, mia, role=Role.VIEWER)
        user, _ = await accept(directory, open_invitations.link_secret(directory, made))
        assert user.role is Role.VIEWER

    async def test_until_it_is_taken_away(self, directory: Directory, invitation_people: People):
        mia = await grant_manage(directory, invitation_people.mia)
        secret = open_invitations.link_secret(directory, await invite(directory, mia))
        async with transaction(directory) as tx:
            await grants.remove(tx, invitation_people.mia, [INVITE])
        with pytest.raises(NotFound):
            await accept(directory, secret)

    async def test_what_was_superseded_meanwhile_stays_dead_when_the_right_comes_back(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        mia = await grant_manage(directory, invitation_people.mia)
        older = await invite(directory, mia)
        async with transaction(directory) as tx:
            await grants.remove(tx, invitation_people.mia, [INVITE])
        newer = await invite(directory, olga, role=Role.VIEWER)
        await grant_manage(directory, invitation_people.mia)
        with pytest.raises(NotFound):
            await accept(directory, open_invitations.link_secret(directory, older))
        user, _ = await accept(directory, open_invitations.link_secret(directory, newer))
        assert user.role is Role.VIEWER

    async def test_the_permission_may_come_from_a_group(
        self, directory: Directory, invitation_people: People
    ):
        mia = await grant_manage(directory, invitation_people.mia)
        secret = open_invitations.link_secret(directory, await invite(directory, mia))
        group = sa.insert(schema.groups).values(
            id=7, tenant_id=invitation_people.home, name="g", name_key="g", created_at=1
        )
        await change(directory, group)
        await change(
            directory,
            sa.insert(schema.group_permissions).values(group_id=7, permission_id=INVITE),
        )
        await change(
            directory,
            sa.insert(schema.group_members).values(user_id=invitation_people.mia, group_id=7),
        )
        async with transaction(directory) as tx:
            await grants.remove(tx, invitation_people.mia, [INVITE])
        await invitations.get_open(directory, VISITOR, secret)
        await change(directory, sa.delete(schema.group_permissions))
        with pytest.raises(NotFound):
            await invitations.get_open(directory, VISITOR, secret)

    async def test_a_step_down_ends_what_was_offered_for_good(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        for end in (demoted, switched_off):
            olga = await actor_for(directory, invitation_people.olga, RESTRICTIONS)
            made = await invite(directory, olga, f"{end.__name__}@example.com", role=Role.MEMBER)
            await end(directory, invitation_people, olga, made)
            async with transaction(directory) as tx:
                await users.assign_role(tx, invitation_people.olga, Role.OWNER)
                await users.set_active(tx, invitation_people.olga, active=True)
            with pytest.raises(NotFound):
                await accept(directory, open_invitations.link_secret(directory, made))

    async def test_whoever_gives_access_must_hold_it_then_and_now(
        self, directory: Directory, invitation_people: People
    ):
        mia = await grant_manage(directory, invitation_people.mia)
        with pytest.raises(Forbidden) as refused:
            await invite(directory, mia, resources=("thing",))
        assert refused.value.reason is Reason.DELEGATION
        async with transaction(directory) as tx:
            await access.replace(
                tx, invitation_people.mia, [Access("thing", "full")], full_level="full"
            )
        made = await invite(directory, mia, resources=("thing",))
        async with transaction(directory) as tx:
            lower = [Access("thing", "read_only")]
            await access.replace(tx, invitation_people.mia, lower, full_level="full")
        with pytest.raises(NotFound):
            await accept(directory, open_invitations.link_secret(directory, made))
        assert await statuses(directory, mia) == ["revoked"]

    async def test_the_contract_that_is_asked_narrows_it(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        secret = open_invitations.link_secret(directory, await invite(directory, olga))
        nobody = Restrictions(rows={Action.INVITE: (TENANT, TENANT, NONE, NONE, NONE)})
        elsewhere = msgspec.structs.replace(VISITOR, restrictions=nobody)
        with pytest.raises(NotFound):
            await invitations.get_open(directory, elsewhere, secret)


class TestWhoMay:
    async def test_members_may_nothing_whatever_the_id(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        made = await invite(directory, olga)
        mia = await actor_for(directory, invitation_people.mia, RESTRICTIONS)
        unknown = msgspec.structs.replace(made, public_id="2" * 17)
        for work in (
            invite(directory, mia, "no address"),
            statuses(directory, mia),
            resend(directory, mia, made),
            resend(directory, mia, unknown),
            revoke(directory, mia, made),
            revoke(directory, mia, unknown),
        ):
            with pytest.raises(Forbidden) as refused:
                await work
            assert refused.value.reason is Reason.FUNCTION

    @pytest.mark.parametrize("role", [Role.SUPERADMIN, Role.ADMIN])
    async def test_nobody_confers_a_role_beyond_the_own(
        self, directory: Directory, invitation_people: People, olga: Actor, role: Role
    ):
        with pytest.raises(Forbidden) as refused:
            await invite(directory, olga, "no address", role=role)
        assert refused.value.reason is Reason.DELEGATION, "said before anything else"

    async def test_nor_vouches_for_one(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        mia = await grant_manage(directory, invitation_people.mia)
        high = await invite(directory, olga, role=Role.OWNER)
        with pytest.raises(Forbidden) as refused:
            await resend(directory, mia, high)
        assert refused.value.reason is Reason.DELEGATION
        await revoke(directory, mia, high)

    async def test_a_foreign_one_is_like_one_that_never_was(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        made = await invite(directory, olga)
        gil = await actor_for(directory, invitation_people.gil, RESTRICTIONS)
        assert await statuses(directory, gil) == []
        for public_id in (made.public_id, "2" * 17, "", "\x00", "\ud800", "é" * 17):
            for verb in (invitations.resend, invitations.revoke):
                with pytest.raises(NotFound):
                    async with transaction(directory, gil) as tx:
                        await verb(tx, public_id)
        assert await statuses(directory, olga) == ["pending"]

    async def test_pages_are_newest_first_and_counted_exactly(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        made = [await invite(directory, olga, f"n{n}@example.com") for n in range(5)]
        gil = await actor_for(directory, invitation_people.gil, RESTRICTIONS)
        foreign = await invite(directory, gil, "foreign@example.com")
        page = await invitations.list_page(directory.read(olga), limit=2, offset=1)
        assert page.count == 5
        assert [offer.invitation for offer in page.rows] == [made[3], made[2]]
        far = await invitations.list_page(directory.read(olga), limit=2, offset=50)
        assert (far.rows, far.count) == ([], 5)
        root = await actor_for(directory, 1)
        whole = await invitations.list_page(directory.read(root), limit=1, offset=0)
        assert (whole.rows[0].invitation, whole.count) == (foreign, 6)


class TestRefusedInvitations:
    async def test_everything_that_is_wrong_is_told_at_once(
        self, directory: Directory, invitation_people: People, olga: Actor, database: str
    ):
        before = await all_rows(database)
        given = Problem("resources", "not_list")
        with pytest.raises(Invalid) as refused:
            await invite(directory, olga, "no address", name="a\x00b", problems=[given])
        assert refused.value.problems == (
            given, Problem("email", "email"), Problem("name", "unsafe"),
        )  # fmt: skip
        assert await all_rows(database) == before

    @pytest.mark.parametrize("email", ["", "  "])
    async def test_an_address_is_required(self, directory: Directory, olga: Actor, email: str):
        with pytest.raises(Invalid) as refused:
            await invite(directory, olga, email)
        assert refused.value.problems == (Problem("email", "blank"),)

    @pytest.mark.parametrize("email", ["рaypal@example.com", "a\u200bb@example.com"])
    async def test_what_cannot_become_a_username_is_not_invited(
        self, directory: Directory, olga: Actor, email: str
    ):
        with pytest.raises(Invalid) as refused:
            await invite(directory, olga, email)
        assert {problem.field for problem in refused.value.problems} == {"email"}

    @pytest.mark.parametrize("name", ["n" * 151, "n " + "m" * 151, "n" * 302])
    async def test_a_name_too_long_is_told_now_and_not_to_the_invited(
        self, directory: Directory, olga: Actor, name: str
    ):
        with pytest.raises(Invalid) as refused:
            await invite(directory, olga, name=name)
        assert [(p.field, p.code) for p in refused.value.problems] == [("name", "too_long")]

    @pytest.mark.parametrize("email", ["mia@example.com", "MIA@example.com", "admin@localhost"])
    async def test_the_address_of_a_user_is_taken(
        self, directory: Directory, olga: Actor, email: str
    ):
        with pytest.raises(Taken) as refused:
            await invite(directory, olga, email)
        assert refused.value.field == "email"

    async def test_an_address_that_is_somebodys_username_too(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        async with transaction(directory) as tx:
            await insert_users(
                tx, [UserRow(username="nick@example.com", tenant_id=invitation_people.away)]
            )
        with pytest.raises(Taken) as refused:
            await invite(directory, olga, "Nick@example.com")
        assert refused.value.field == "email"

    async def test_who_is_invited_already_is_not_invited_again(
        self, directory: Directory, olga: Actor
    ):
        await invite(directory, olga)
        with pytest.raises(Taken) as refused:
            await invite(directory, olga, EMAIL.upper())
        assert refused.value.field == "invitation"

    async def test_another_tenants_invitation_neither_blocks_nor_ends(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        gil = await actor_for(directory, invitation_people.gil, RESTRICTIONS)
        first = await invite(directory, olga)
        second = await invite(directory, gil)
        for invitation in (first, second):
            secret = open_invitations.link_secret(directory, invitation)
            assert (await invitations.get_open(directory, VISITOR, secret)).tenant
        user, _ = await accept(directory, open_invitations.link_secret(directory, second))
        assert user.tenant_id == invitation_people.away
        with pytest.raises(Taken):
            await accept(directory, open_invitations.link_secret(directory, first))


class TestResend:
    async def test_it_renews_the_week_and_voids_the_earlier_link(
        self, directory: Directory, invitation_people: People, olga: Actor, database: str
    ):
        made = await invite(directory, olga)
        sooner = sa.update(schema.invitations).values(
            expires_at=schema.invitations.c.expires_at - 3 * DAY
        )
        await change(directory, sooner)
        otto = await actor_for(directory, invitation_people.otto, RESTRICTIONS)
        before = (await audit_rows(database))[-1].id
        again = await resend(directory, otto, made)
        assert (again.public_id, again.inviter_id) == (made.public_id, invitation_people.otto)
        assert again.expires_at > made.expires_at
        assert again.generation > made.generation
        with pytest.raises(NotFound):
            await invitations.get_open(
                directory, VISITOR, open_invitations.link_secret(directory, made)
            )
        (row,) = await audit_rows(database, before)
        assert (row.action, row.target_id, row.actor_id) == (
            "invitations.resend", made.id, invitation_people.otto,
        )  # fmt: skip
        await demoted(directory, invitation_people, olga, made)  # whoever resent it vouches for it
        await accept(directory, open_invitations.link_secret(directory, again))

    async def test_five_mails_an_hour_to_one_address(
        self, directory: Directory, invitation_people: People, olga: Actor, database: str
    ):
        made = await invite(directory, olga)
        for _ in range(3):
            made = await resend(directory, olga, made)
        await revoke(directory, olga, made)
        gil = await actor_for(directory, invitation_people.gil, RESTRICTIONS)
        last = await invite(directory, gil, EMAIL.upper())
        for _ in range(2):
            with pytest.raises(RateLimited) as refused:
                await resend(directory, gil, last)
            assert 3500 < refused.value.retry_after <= 3600
        secret = open_invitations.link_secret(directory, last)
        await invitations.get_open(directory, VISITOR, secret)  # refused, so the link still opens
        mails = "SELECT recipient FROM outbox"
        assert len(await query(database, mails)) == 5
        await invite(directory, gil, "other@example.com")
        async with transaction(directory) as tx:
            moved = sa.update(schema.failures).values(since=schema.failures.c.since - HOUR)
            await tx.run(Query(moved))
            await sign_in_failures.purge(tx, 0)
        await resend(directory, gil, last)


class TestAcceptance:
    async def test_everything_that_is_wrong_is_told_at_once(
        self, directory: Directory, olga: Actor
    ):
        secret = open_invitations.link_secret(directory, await invite(directory, olga))
        given = Problem("other", "invalid")
        rules = PasswordRules(min_length=8)
        with pytest.raises(Invalid) as refused:
            await invitations.accept(
                directory,
                VISITOR,
                secret,
                "x",
                "a\x00b",
                rules,
                CREDENTIAL_FORMAT,
                problems=[given],
            )
        reported = [(problem.field, problem.code) for problem in refused.value.problems]
        assert reported[:2] == [("other", "invalid"), ("name", "unsafe")]
        assert {field for field, _ in reported[2:]} == {"password"}
        await accept(directory, secret)  # which used nothing up

    async def test_a_name_that_the_contract_refused_is_told_once(
        self, directory: Directory, olga: Actor
    ):
        secret = open_invitations.link_secret(directory, await invite(directory, olga))
        with pytest.raises(Invalid) as refused:
            await accept(directory, secret, name="n" * 400, problems=[Problem("name", "null")])
        assert refused.value.problems == (Problem("name", "null"),)

    async def test_an_address_that_somebody_got_meanwhile(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        secret = open_invitations.link_secret(directory, await invite(directory, olga))
        new = NewUser(username="nora", email=EMAIL, tenant_id=invitation_people.away)
        await users.create(directory, SYSTEM_ACTOR, new, PASSWORD, PasswordRules())
        with pytest.raises(Taken) as refused:
            await accept(directory, secret)
        assert refused.value.field == "email"
        assert await statuses(directory, olga) == ["pending"]

    async def test_an_address_that_somebody_gets_while_the_password_is_hashed(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        secret = open_invitations.link_secret(directory, await invite(directory, olga))
        said = await asyncio.gather(
            outcome(accept(directory, secret)),
            outcome(
                users.create(
                    directory,
                    SYSTEM_ACTOR,
                    NewUser(username=EMAIL.lower(), tenant_id=invitation_people.away),
                    PASSWORD,
                    PasswordRules(),
                )
            ),
        )
        assert sorted(word.partition("(")[0] for word in said) in (
            ["Taken", "done"], ["Invalid", "done"],
        )  # fmt: skip
        if said[0] != "done":
            assert said[0] == "Taken(email)"


class TestRaces:
    async def test_of_twenty_who_accept_at_once_one_gets_in(
        self, directory: Directory, invitation_people: People, olga: Actor, database: str
    ):
        made = await invite(directory, olga, resources=("thing",), role=Role.OWNER)
        secret = open_invitations.link_secret(directory, made)
        said = await asyncio.gather(
            *(outcome(accept(directory, secret, f"{PASSWORD}-{n}")) for n in range(20))
        )
        assert sorted(said) == sorted(["NotFound()"] * 19 + ["done"])
        winner = said.index("done")
        user, _ = await sign_in.sign_in(
            directory, VISITOR, EMAIL, f"{PASSWORD}-{winner}", CREDENTIAL_FORMAT
        )
        assert await query(database, "SELECT user_id, resource FROM access") == [(user.id, "thing")]
        assert len(await query(database, "SELECT id FROM users WHERE role = 2 AND id > 1")) == 4

    async def test_of_ten_who_invite_one_address_at_once_one_does(
        self, directory: Directory, invitation_people: People, olga: Actor, database: str
    ):
        otto = await actor_for(directory, invitation_people.otto, RESTRICTIONS)
        said = await asyncio.gather(
            *(outcome(invite(directory, actor)) for actor in [olga, otto] * 5)
        )
        assert sorted(said) == ["Taken(invitation)"] * 9 + ["done"]
        assert len(await query(database, "SELECT id FROM invitations")) == 1
        assert len(await query(database, "SELECT id FROM outbox")) == 1

    async def test_whoever_accepts_while_it_is_sent_again_or_taken_back(
        self, directory: Directory, invitation_people: People, olga: Actor, database: str
    ):
        for n, verb in enumerate([resend, revoke] * 4):
            made = await invite(directory, olga, f"n{n}@example.com")
            secret = open_invitations.link_secret(directory, made)
            said = await asyncio.gather(
                outcome(accept(directory, secret)), outcome(verb(directory, olga, made))
            )
            assert sorted(said) == ["NotFound()", "done"], (verb.__name__, said)

    async def test_whoever_accepts_while_the_inviter_loses_the_right(
        self, directory: Directory, invitation_people: People, olga: Actor
    ):
        for n in range(4):
            made = await invite(directory, olga, f"n{n}@example.com")
            secret = open_invitations.link_secret(directory, made)
            said = await asyncio.gather(
                outcome(accept(directory, secret)),
                outcome(demoted(directory, invitation_people, olga, made)),
            )
            assert said[1] == "done"
            assert said[0] in {"done", "NotFound()"}
            async with transaction(directory) as tx:
                await users.assign_role(tx, invitation_people.olga, Role.OWNER)
            olga = await actor_for(directory, invitation_people.olga, RESTRICTIONS)

    async def test_whoever_is_erased_while_it_accepts_another(
        self, directory: Directory, invitation_people: People, olga: Actor, database: str
    ):
        for n in range(4):
            made = await invite(directory, olga, f"n{n}@example.com")
            secret = open_invitations.link_secret(directory, made)

            async def erase(key: str = made.email) -> None:
                async with transaction(directory) as tx:
                    await rows.erase_for_user(tx, key)

            said = await asyncio.gather(outcome(accept(directory, secret)), outcome(erase()))
            assert said[1] == "done"
            assert said[0] in {"done", "NotFound()"}
        left = await query(database, "SELECT email, name FROM invitations")
        assert set(left) == {("", "")}
