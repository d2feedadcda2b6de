"""Where the cells are played: the world, a few more people in it, and an application that runs.

Home is acme: administrators without a tenant stand there. To everybody who acts there is a second
one of the same rank to be acted upon.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import msgspec
import structlog

from dragoman import app, dialects
from dragoman.actions import groups, invitations, permissions, sign_in, user_lists, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps.credentials import mint
from dragoman.actions.system import system_actor
from dragoman.rules.model import NewUser, Role
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.policy import PERMISSION_CATALOGUE
from dragoman.rules.vocabulary import UNRESTRICTED
from dragoman.settings import Rate
from dragoman.web import resource
from dragoman.web.logs import LogThrottle
from tests.support.databases import declared_only, settings_for
from tests.support.people import anonymous_actor
from tests.support.rows import Change, Dump, Rows, difference, open_rows
from tests.support.running_app import running_client
from tests.support.world import MISSING_USER_ID, PASSWORD, Person, World

HOME_TENANT, OTHER_TENANT, EMPTY_TENANT = "acme", "globex", "main"
EXTRA_PEOPLE: dict[str, tuple[Role, str | None]] = {
    "second_superadmin": (Role.SUPERADMIN, None),
    "second_admin": (Role.ADMIN, None),
    "second_member": (Role.MEMBER, HOME_TENANT),
    "second_viewer": (Role.VIEWER, HOME_TENANT),
    "holder": (Role.MEMBER, HOME_TENANT),
    "switched_off": (Role.OWNER, HOME_TENANT),
    "deleted": (Role.MEMBER, HOME_TENANT),
    "unapproved": (Role.MEMBER, HOME_TENANT),
}
ACTORS = {
    "superadmin": "root", "admin": "ada", "owner": "olga", "member": "mia", "viewer": "vic",
    "holder": "holder", "deactivated": "switched_off", "elsewhere": "olga",
}  # fmt: skip
TARGETS = {
    "superadmin": "second_superadmin", "admin": "second_admin", "owner": "otto",
    "member": "second_member", "viewer": "second_viewer", "inactive": "idle",
    "foreign-owner": "gil", "foreign-member": "gus", "unapproved": "unapproved", "deleted": "deleted", "nobody": "nobody",
}  # fmt: skip
TENANTS_BY_TARGET = {"own": HOME_TENANT, "other": OTHER_TENANT, "empty": EMPTY_TENANT}
INVITATIONS_OF = {
    "tenant": {"offer", "offer-to-admin", "offer-of-machine", "used"},
    "foreign": {"foreign"},
}
MISSING_PERSON = Person(MISSING_USER_ID, "nobody", "nobody@nowhere.test", "", public_id="z" * 17)

DIRECT = [number for number, *_ in PERMISSION_CATALOGUE if number % 2]
BY_GROUP = [number for number, *_ in PERMISSION_CATALOGUE if not number % 2]
"""How the holder holds every permission: one half itself, the other by a group."""

PEOPLE_OF = {
    "tenant": {
        "olga", "otto", "mia", "vic", "idle", "second_member", "second_viewer", "holder",
        "switched_off", "unapproved",
    },
    "foreign": {"gil", "gus"},
    "platform": {"root", "ada", "second_superadmin", "second_admin"},
}  # fmt: skip


class SeededApp:
    """A running application, its database, and everybody in it.

    ``base`` is every row as it was when all was ready; each cell leaves it so.
    """

    def __init__(
        self, client: httpx.AsyncClient, rows: Rows, initial_dump: Dump, world: World
    ) -> None:
        self.client = client
        self.world = world
        self.rows = rows
        self.initial_dump = initial_dump
        self.mark: Any = None
        self.people: dict[str, Person] = {}
        self.tenant_ids: dict[str, int] = {}
        self.invitations: dict[str, str] = {}
        self.refusal_logs: list[dict[str, Any]] = []

    async def request(
        self, before: Dump, method: str, url: str, **arguments: Any
    ) -> tuple[httpx.Response, list[Change], Dump]:
        """Send a request; return its answer, what it changed, and every row as it is then."""
        if self.mark is None:
            self.mark = await self.rows.fingerprint()
        self.refusal_logs.clear()
        answer = await self.client.request(method, url, **arguments)
        if await self.rows.fingerprint() == self.mark:
            return answer, [], before
        self.mark = None
        after = await self.rows.dump()
        return answer, difference(before, after), after

    async def restore(self, after: Dump) -> None:
        """Make every row what it was when all was ready."""
        if after is not self.initial_dump and (changes := difference(self.initial_dump, after)):
            await self.rows.restore(changes)
            self.mark = None

    def actor(self, name: str) -> Person | None:
        """Return who acts; None for nobody."""
        return self.people[ACTORS[name]] if name in ACTORS else None

    def target(self, name: str, actor: str) -> Person:
        """Return who is acted upon, by the actor of a name."""
        return self.people[ACTORS[actor] if name == "self" else TARGETS[name]]

    def credential(self, actor: str, contract: str, turn: int) -> str:
        """Return what an actor presents; who comes from elsewhere takes all others in turn."""
        person = self.actor(actor)
        if person is None:
            return ""
        others = [name for name in dialects.NAMES if name != contract]
        return person.tokens[others[turn % len(others)] if actor == "elsewhere" else contract]


@contextlib.asynccontextmanager
async def running_seeded_app(database: str, world: World) -> AsyncGenerator[SeededApp]:
    """Fill a database with the world in it further, and run an application on it."""
    settings = settings_for(
        database,
        tenant=HOME_TENANT,
        user_rate=Rate(0, 1),
        log_level="info",
        **declared_only(first_user_is_admin=False),
    )
    places = {name: place.id for name, place in world.tenants.items()}
    async with app.open_directory(settings) as directory:
        people = await _add_people(directory, world)
        invitation_ids = await _send_invitations(directory, people)
    rows = await open_rows(database)
    try:
        async with running_client(settings) as client:
            seeded_app = SeededApp(client, rows, await rows.dump(), world)
            seeded_app.people, seeded_app.tenant_ids, seeded_app.invitations = (
                people,
                places,
                invitation_ids,
            )
            with _capture_refusal_logs(seeded_app):
                yield seeded_app
    finally:
        await rows.close()


async def _add_people(directory: Directory, world: World) -> dict[str, Person]:
    us = system_actor("tests")
    people = {**world.people, "nobody": MISSING_PERSON}
    kinds = [app.credential_format(name) for name in dialects.NAMES]
    for name, (role, home) in EXTRA_PEOPLE.items():
        email = f"{name}@{home or 'platform'}.test"
        place = world.tenants[home].id if home else None
        new = NewUser(username=name, email=email, role=role, tenant_id=place, bio=f"I am {name}")
        if name == "unapproved":
            user, _ = await sign_in.sign_up(
                directory, anonymous_actor(), new, PASSWORD, PasswordRules(), None
            )
        else:
            user = await users.create(directory, us, new, PASSWORD, PasswordRules())
        async with directory.begin(us) as tx:
            if name == "holder":
                await permissions.grant(tx, user.id, DIRECT)
                group = await groups.create(tx, world.tenants[HOME_TENANT].id, "helpers", BY_GROUP)
                await groups.add_member(tx, group.group.id, user.id)
            made = {
                credential_format.contract: (
                    await mint(tx, directory, user, credential_format)
                ).secret
                for credential_format in kinds
            }
        person = Person(user.id, name, email, made["wiwebb"], PASSWORD, user.public_id, made)
        people[name] = person
    async with directory.begin(us) as tx:
        await users.set_active(tx, people["switched_off"].id, active=False)
        await users.delete(tx, people["deleted"].id, erase=False)
    return people


async def _send_invitations(directory: Directory, people: dict[str, Person]) -> dict[str, str]:
    """Send invitations; returns their public ids by the names of TARGETS."""
    recipients = {
        "offer": ("olga", Role.MEMBER, ()),
        "offer-to-admin": ("olga", Role.OWNER, ()),
        "offer-of-machine": ("olga", Role.VIEWER, ("mch_1",)),
        "used": ("olga", Role.MEMBER, ()),
        "foreign": ("gil", Role.MEMBER, ()),
    }
    made = {"nobody": "z" * 17}
    for name, (inviter, role, resources) in recipients.items():
        user = await user_lists.get(directory.read(system_actor("tests")), people[inviter].id)
        actor = msgspec.structs.replace(
            system_actor("tests"), kind="user", restrictions=UNRESTRICTED, user_id=user.id,
            tenant_id=user.tenant_id, role=user.role, auth_epoch=user.auth_epoch,
        )  # fmt: skip
        async with directory.begin(actor) as tx:
            invitation = await invitations.invite(
                tx, email=f"{name}@invited.test", name=name, role=role, resources=resources
            )
            if name == "used":
                await invitations.revoke(tx, invitation.public_id)
        made[name] = invitation.public_id
    return made


class _NoThrottle(LogThrottle):
    """Logs everything: thousands of refusals a second are looked at, each by itself."""

    def should_log(self, key: str) -> int | None:
        return 0


@contextlib.contextmanager
def _capture_refusal_logs(seeded_app: SeededApp) -> Any:
    """Collect the log's lines of refusals as they are written, at the level that is set."""

    def keep(_: Any, __: str, event: Any) -> Any:
        if event["event"] in {"refused", "bug"}:
            seeded_app.refusal_logs.append(event)
        raise structlog.DropEvent

    plain, throttle = resource.log, resource.throttle
    resource.throttle = _NoThrottle()
    resource.log = structlog.wrap_logger(structlog.PrintLogger(), processors=[keep])
    try:
        yield
    finally:
        resource.log, resource.throttle = plain, throttle
