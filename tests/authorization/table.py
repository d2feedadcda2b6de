"""The table of who may do what at each contract, and how it expands to cells.

``tests/dialects/NAME/permissions.toml`` is written from the contract's document and its notes, never from the program.
An operation has ``rules``, one a line; of those that match a cell the last one holds:

    owner holder on member viewer 403      who, on whom, and what is answered
    superadmin 201                         where there is no target

A word may follow the status. After a read it says who is shown: ``target``, ``self``, ``tenant``,
``foreign``, ``any``, ``none``. After a write ``=`` says that nothing was changed, ``~`` nothing but
the history; without it the change that the operation promises has been made.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from dragoman import dialects

FOLDER = Path(__file__).parents[1] / "dialects"
CONTRACTS = dialects.NAMES

STRANGERS = ("anonymous", "deactivated", "elsewhere")
"""Whoever has no valid credential: none at all, one of somebody who was switched off, one of an
owner that another contract issued."""
INSIDERS = ("superadmin", "admin", "owner", "member", "viewer", "holder")
"""``holder`` is a member who holds every permission: granted to it, or by a group."""

TARGETS: dict[str, tuple[str, ...]] = {
    "nothing": ("",),
    "user": (
        "self", "owner", "member", "viewer", "inactive", "foreign-owner", "foreign-member",
        "superadmin", "admin", "unapproved", "deleted", "nobody",
    ),
    "tenant": ("own", "other", "empty", "nobody"),
    "invitation": ("offer", "offer-to-admin", "offer-of-machine", "used", "foreign", "nobody"),
}  # fmt: skip
"""By the kind of thing that is acted on."""
EQUIVALENT_TARGETS = frozenset(
    {"owner", "viewer", "inactive", "foreign-owner", "admin", "unapproved"}
)
"""Targets that stand to a stranger, who has no rank, as others of the list do."""

GROUPS: dict[str, tuple[str, ...]] = {
    "everybody": (*STRANGERS, *INSIDERS),
    "strangers": STRANGERS,
    "insiders": INSIDERS,
    "platform": ("superadmin", "admin"),
    "admins": ("superadmin", "admin", "owner"),
    "members": ("member", "viewer", "holder"),
}
"""Of actors, by their common names."""
SETS: dict[str, tuple[str, ...]] = {
    "tenant": ("owner", "member", "viewer", "inactive"),
    "lower": ("member", "viewer", "inactive"),
    "foreigners": ("foreign-owner", "foreign-member"),
    "platform": ("superadmin", "admin"),
    "gone": ("deleted", "nobody"),
    "outside": (
        "foreign-owner", "foreign-member", "superadmin", "admin", "deleted", "nobody",
    ),
}  # fmt: skip
"""Of targets."""
CLOSED = frozenset(
    name for name in CONTRACTS if dialects.load(name).CONTRACT.restrictions.approved_only
)
"""The contracts at which somebody who is not approved does not exist."""
SHOWN = {"target", "self", "tenant", "foreign", "any", "none"}
UNCHANGED, AUDITED = "=", "~"


class TableError(Exception):
    """A table that cannot be read, or leaves a cell open."""


class Expect(msgspec.Struct, frozen=True):
    """What a cell promises: the status, and what is shown or changed."""

    status: int
    word: str = ""


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operation of a contract, or a variant of it, and its rules.

    ``on`` is a key of TARGETS, ``only`` picks some of them. ``about`` is what
    it shows: people, places (tenants) or offers (invitations). ``body`` is sent as JSON, names in
    braces filled in. ``arrange`` names what is prepared before each cell. A success writes the
    rows of the history that ``audit`` lists, leaves ``effect`` in the target's row, and changes
    each table of ``rows`` in what belongs to the target; ``made`` is what a new row says.
    ``open`` is an operation that asks for no credential.
    """

    name: str
    request: str
    rules: str
    on: str = "user"
    about: str = "people"
    only: tuple[str, ...] = ()
    body: Any = None
    arrange: str = ""
    audit: tuple[str, ...] = ()
    effect: dict[str, Any] = {}
    made: dict[str, Any] = {}
    rows: tuple[str, ...] = ()
    open: bool = False
    contract: str = ""

    @property
    def method(self) -> str:
        """The request's method."""
        return self.request.split(" ")[0]

    @property
    def path(self) -> str:
        """The request's path, with names in braces."""
        return self.request.split(" ")[1]

    @property
    def reads(self) -> bool:
        """True for what only looks."""
        return self.method == "GET"


class Cell(msgspec.Struct, frozen=True):
    """One expectation."""

    operation: Operation
    actor: str
    target: str
    expect: Expect

    def __str__(self) -> str:
        on = f" on {self.target}" if self.target else ""
        return f"{self.operation.contract}: {self.operation.name}: {self.actor}{on}"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    about: str
    operation: list[Operation]


def load(contract: str) -> list[Operation]:
    """Return a contract's operations in the order of its table; raises Malformed."""
    return [msgspec.structs.replace(each, contract=contract) for each in _read(contract).operation]


def about(contract: str) -> str:
    """Return what a contract's table says of itself."""
    return _read(contract).about


def _read(contract: str) -> _File:
    text = (FOLDER / contract / "permissions.toml").read_text(encoding="utf-8")
    try:
        return msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TableError(f"{contract}: {error}") from None


def targets_of(operation: Operation) -> tuple[str, ...]:
    """Return whom an operation is tried on."""
    return operation.only or TARGETS[operation.on]


def cells_of(operation: Operation) -> list[Cell]:
    """Return every cell of an operation; raises Malformed where one is left open."""
    rules = list(_rules(operation))
    found: list[Cell] = []
    for actor in GROUPS["everybody"]:
        for target in targets_of(operation):
            if actor in STRANGERS and target in EQUIVALENT_TARGETS and not operation.only:
                continue
            if actor == "anonymous" and target == "self":
                continue
            alike = _stands_for(target, operation)
            fitting = [e for who, whom, e in rules if actor in who and alike in whom]
            if actor in STRANGERS and not operation.open:
                fitting = [Expect(401)]
            if not fitting:
                raise TableError(f"{operation.name}: {actor} on {target or '-'} is left open")
            found.append(Cell(operation, actor, target, fitting[-1]))
    return found


def _stands_for(target: str, operation: Operation) -> str:
    """Return the target whose rules hold: who signed up is a member, or nobody where unknown."""
    if target != "unapproved":
        return target
    return "nobody" if operation.contract in CLOSED else "member"


def _rules(operation: Operation) -> Iterator[tuple[set[str], set[str], Expect]]:
    known = set(targets_of(operation))
    for line in operation.rules.split("\n"):
        if not line.strip():
            continue
        words = line.split()
        at = next((n for n, word in enumerate(words) if word.isdigit()), 0)
        status, said = words[at], words[at + 1 :]
        names = words[:at]
        cut = names.index("on") if "on" in names else len(names)
        who = {each for name in names[:cut] for each in GROUPS.get(name, (name,))}
        whom = {each for name in names[cut + 1 :] for each in _expand_group(name, operation)}
        word = said[0] if said else ""
        fits = SHOWN if operation.reads else {UNCHANGED, AUDITED}
        if not (at and who and who <= {*GROUPS["everybody"]} and len(said) < 2):
            raise TableError(f"{operation.name}: {line.strip()}")
        if word and (word not in fits or int(status) >= 300):
            raise TableError(f"{operation.name}: {word} after {status}")
        if operation.reads and int(status) < 300 and not word:
            raise TableError(f"{operation.name}: who is shown? {line.strip()}")
        yield who, (whom or known) & known, Expect(int(status), word)


def _expand_group(name: str, operation: Operation) -> tuple[str, ...]:
    if name == "any":
        return targets_of(operation)
    found = SETS.get(name, (name,)) if operation.on == "user" else (name,)
    if not set(found) <= {*TARGETS[operation.on], *operation.only}:
        raise TableError(f"{operation.name}: there is no target {name}")
    return found
