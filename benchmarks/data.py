"""The users of a benchmark: any number of them, the same in every run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from dragoman.rules.crypto import PUBLIC_ID_LENGTH, READABLE_ALPHABET
from dragoman.rules.model import DAY, SECOND, Role

SEED = 20_250_315
_MASK = 2**64 - 1
MAIN, BIG, MIDDLE, FIRST_SMALL = 1, 2, 3, 4
"""Tenant ids: the home tenant, the one with half of all users, one with 500, the first small one."""
ADMIN_ID, OWNER_ID, MIDDLE_OWNER_ID = 2, 4, 5
"""User ids of callers: a platform administrator, the owners of the big and the middle tenant."""
PASSWORD = "violet-Kettle-42"
"""The password of all users."""
PER_MIDDLE_TENANT, PER_SMALL_TENANT = 500, 50
RARE, RARE_NAME, RARE_PEOPLE = "quetz", "Quetzal", 20
"""A substring of the names of twenty users, at every size."""
COMMON = "exa"
"""Three letters that all users have, because their e-mail addresses have the same ending."""
FIRST_JOIN_US = 1_704_067_200 * SECOND  # 2024-01-01
JOIN_SPAN_US = 600 * DAY

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
    """A tenant; times are microseconds since 1970."""

    id: int
    uuid: str
    name: str
    slug: str
    created_at: int


class Person(NamedTuple):
    """A user in Dragoman's terms; times are microseconds since 1970, 0 for never."""

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
    """A number of users: half in one tenant, 500 in another, the rest in small ones."""

    def __init__(self, users: int) -> None:
        if users < 100:
            raise ValueError("a data set needs at least 100 users")
        self.users = users
        self.middle = min(PER_MIDDLE_TENANT, users // 4)
        self.small = max(1, (users // 2 - self.middle) // PER_SMALL_TENANT)
        self._rare_every = max(users // RARE_PEOPLE, 2)

    def tenants(self) -> Iterator[Tenant]:
        """Return the tenants, ordered by id."""
        named = {MAIN: "main", BIG: "Atlas Corporation", MIDDLE: "Borealis Corporation"}
        for number in range(MAIN, FIRST_SMALL + self.small):
            draw = SeededRandom(-number)
            name = named.get(number, f"Organisation {number}")
            uuid = f"{(draw.bits() << 64 | draw.bits()) | 1 << 127:032x}"
            dashed = "-".join((uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:]))
            slug = name.lower().replace(" ", "-")
            yield Tenant(number, dashed, name, slug, FIRST_JOIN_US)

    def people(self) -> Iterator[Person]:
        """Return the users, ordered by id from 1; the same in every call."""
        return map(self.person, range(1, self.users + 1))

    def tenant_id_of(self, number: int) -> int | None:
        """Return a user's tenant: None for the two platform users, the big one for even ids."""
        if number <= ADMIN_ID:
            return None
        if number % 2 == 0:
            return BIG
        place = (
            number - MIDDLE_OWNER_ID
        ) // 2  # index among the odd ids from the middle owner's on
        return MIDDLE if 0 <= place < self.middle else FIRST_SMALL + number // 2 % self.small

    def active(self, number: int) -> bool:
        """Say whether a user is active; 19 of 20 are."""
        return number % 40 not in {7, 16}

    def _role_of(self, number: int) -> Role:
        if number <= ADMIN_ID:
            return Role.SUPERADMIN if number < ADMIN_ID else Role.ADMIN
        if number in {OWNER_ID, MIDDLE_OWNER_ID} or number % 200 in {0, 101}:
            return Role.OWNER
        return Role.MEMBER

    def person(self, number: int) -> Person:
        """Return the user with this id."""
        draw = SeededRandom(number)
        first, last = draw.one_of(FIRST_NAMES), draw.one_of(LAST_NAMES)
        if number % self._rare_every == self._rare_every // 2:
            last = RARE_NAME
        home = self.tenant_id_of(number)
        username = f"{_ascii(first)}.{_ascii(last)}{number}"
        joined = FIRST_JOIN_US + draw.below(JOIN_SPAN_US)
        seen = joined + draw.below(90 * DAY)
        return Person(
            id=number,
            public_id=draw.word(READABLE_ALPHABET, PUBLIC_ID_LENGTH),
            tenant_id=home,
            role=self._role_of(number),
            username=username,
            email=f"{username}@t{home or 0}.example",
            first_name=first,
            last_name=last,
            phone=f"+1{10**9 + draw.below(9 * 10**9)}" if number % 3 else "",
            bio=draw.one_of(JOBS),
            url=f"https://{_ascii(last)}{number}.example" if number % 4 == 0 else "",
            company=f"Organisation {home}" if home else "",
            location=draw.one_of(CITIES),
            active=self.active(number),
            created_at=joined - joined % SECOND if number % 2 else joined,
            last_login_at=seen if draw.below(10) < 7 else 0,
        )


class SeededRandom:
    """Pseudo-random generator (SplitMix64) with its own sequence for each seed."""

    __slots__ = ("_state",)

    def __init__(self, number: int) -> None:
        self._state = (SEED + number * 0xD1342543DE82EF95) & _MASK

    def bits(self) -> int:
        """Return 64 random bits."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        return state ^ state >> 31

    def below(self, end: int) -> int:
        """Return a number from 0 to ``end`` - 1."""
        return self.bits() % end

    def one_of(self, things: Sequence[str]) -> str:
        """Return one of the texts."""
        return things[self.bits() % len(things)]

    def word(self, alphabet: str, length: int) -> str:
        """Return up to 24 letters of an alphabet of at most 64."""
        size, bits, letters = len(alphabet), self.bits() << 64 | self.bits(), ""
        for _ in range(length):
            bits, at = divmod(bits, size)
            letters += alphabet[at]
        return letters


@cache
def _ascii(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isascii() and letter.isalpha())
