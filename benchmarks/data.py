"""The people of a benchmark: as many as are asked for, the same ones in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from dragoman.rules.model import DAY, SECOND, Role
from dragoman.rules.secrets import PUBLIC_ID_LENGTH, READABLE

SEED = 20_250_315
MAIN, BIG, FIRST_SMALL = 1, 2, 3
"""Ids of tenants: the settings' own, the one with half of all users, the first of the others."""
ADMIN_ID, OWNER_ID = 2, 4
"""Ids of who asks: an administrator of the platform, an owner of the big tenant."""
PER_SMALL_TENANT = 50
JOINED_FROM = 1_704_067_200 * SECOND  # 2024-01-01
JOINED_WITHIN = 600 * DAY

FIRST_NAMES = (
    "Ada", "Alan", "Amélie", "Anna", "Bela", "Björn", "Carla", "Chloé", "Dana", "David", "Elif",
    "Emil", "Fatima", "Felix", "Grace", "Hana", "Ines", "Ivan", "Jan", "José", "Kim", "Lena",
    "Łukasz", "Maria", "Mia", "Noor", "Olga", "Pedro", "Rosa", "Sven", "Tara", "Yusuf", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Adams", "Brown", "Castillo", "Dvořák", "Engel", "Fischer", "García", "Hoffmann", "Ito",
    "Johansson", "Kowalski", "Lopez", "Müller", "Novak", "O'Brien", "Petrov", "Quinn", "Rossi",
    "Schmidt", "Tanaka", "Usman", "Visser", "Wagner", "Xu", "Yılmaz", "Zimmermann",
)  # fmt: skip
CITIES = ("Amsterdam", "Berlin", "Córdoba", "Kraków", "Lagos", "Osaka", "San Francisco, CA", "")
JOBS = ("Software engineer", "Works nights, answers mornings.", "Keeps the lights on", "")


class Tenant(NamedTuple):
    """An organisation; times are microseconds since 1970."""

    id: int
    uuid: str
    name: str
    slug: str
    created_at: int


class Person(NamedTuple):
    """A user, in the directory's own terms; times are microseconds since 1970, 0 for never."""

    id: int
    public_id: str
    tenant_id: int | None
    role: Role
    username: str
    email: str
    first_name: str
    last_name: str
    phone: str
    bio: str
    url: str
    company: str
    location: str
    active: bool
    created_at: int
    last_login_at: int


class Dataset:
    """``users`` people, half of them in one tenant, the rest in many small ones."""

    def __init__(self, users: int) -> None:
        if users < 100:
            raise ValueError("a data set has 100 users or more")
        self.users = users
        self.small = max(1, users // 2 // PER_SMALL_TENANT)

    def tenants(self) -> Iterator[Tenant]:
        """Return the tenants by id."""
        draw = random.Random(SEED)
        for number in range(MAIN, FIRST_SMALL + self.small):
            name = {MAIN: "main", BIG: "Atlas Corporation"}.get(number, f"Organisation {number}")
            uuid = f"{draw.getrandbits(128) | 1 << 127:032x}"
            dashed = "-".join((uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:]))
            slug = name.lower().replace(" ", "-")
            yield Tenant(number, dashed, name, slug, JOINED_FROM)

    def people(self) -> Iterator[Person]:
        """Return the people by id, from 1; each call returns the same ones."""
        draw = random.Random(SEED + 1)
        for number in range(1, self.users + 1):
            yield self._person(number, draw)

    def home_of(self, number: int) -> int | None:
        """Return the tenant of a person: none for the platform's two, the big one for even ids."""
        if number <= ADMIN_ID:
            return None
        return BIG if number % 2 == 0 else FIRST_SMALL + number // 2 % self.small

    def _role_of(self, number: int) -> Role:
        if number <= ADMIN_ID:
            return Role.SUPERADMIN if number < ADMIN_ID else Role.ADMIN
        if number == OWNER_ID or (number % 2 and number // 2 <= self.small):
            return Role.OWNER  # each small tenant's first
        return Role.OWNER if number % 200 == 0 else Role.MEMBER

    def _person(self, number: int, draw: random.Random) -> Person:
        first, last = draw.choice(FIRST_NAMES), draw.choice(LAST_NAMES)
        home = self.home_of(number)
        username = f"{_plain(first)}.{_plain(last)}{number}"
        joined = JOINED_FROM + draw.randrange(JOINED_WITHIN)
        seen = joined + draw.randrange(90 * DAY)
        return Person(
            id=number,
            public_id="".join(draw.choices(READABLE, k=PUBLIC_ID_LENGTH)),
            tenant_id=home,
            role=self._role_of(number),
            username=username,
            email=f"{username}@t{home or 0}.example",
            first_name=first,
            last_name=last,
            phone=f"+1{draw.randrange(10**9, 10**10)}" if number % 3 else "",
            bio=draw.choice(JOBS),
            url=f"https://{_plain(last)}{number}.example" if number % 4 == 0 else "",
            company=f"Organisation {home}" if home else "",
            location=draw.choice(CITIES),
            active=number <= OWNER_ID or draw.random() < 0.95,
            created_at=joined - joined % SECOND if number % 2 else joined,
            last_login_at=seen if draw.random() < 0.7 else 0,
        )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isascii() and letter.isalpha())
