"""What must hold: each line with its measured figure, its target, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

import msgspec

from benchmarks.load import Measured
from benchmarks.offered import Offered
from benchmarks.rounds import Result

POSTGRESQL, SQLITE = "dragoman, PostgreSQL", "dragoman, SQLite"
OURS = (POSTGRESQL, SQLITE)
GROWING = ("retrieve", "list", "filtered", "walk", "search-rare")


class Beside(msgspec.Struct, frozen=True):
    """Retrieves alone, retrieves beside something else, and the answers a second of that."""

    quiet: list[Measured]
    loaded: list[Measured]
    others: list[float]


class Overload(msgspec.Struct, frozen=True):
    """A half of the capacity (answers a second), twice of it, and a half again."""

    capacity: float
    seconds: float
    calm: Offered
    flood: Offered
    after: Offered


class Facts(msgspec.Struct):
    """What was found beside the rounds.

    ``noted`` holds figures by kind, target and number of users, ``missing`` why a target is not
    there.
    """

    hash_rates: list[float] = []
    hash_times_ms: list[float] = []
    copy_rate: float = 0.0
    noted: dict[str, dict[str, dict[int, float]]] = {}
    missing: dict[str, str] = {}
    sign_ins: dict[str, Beside] = {}
    searches: dict[str, Beside] = {}
    overload: dict[str, Overload] = {}

    @property
    def hash_limit(self) -> float:
        """Return verifications a second on all cores: the median of the repetitions."""
        return median(self.hash_rates or [0.0])

    @property
    def hash_ms(self) -> float:
        """Return milliseconds of one hash alone: the median of the repetitions."""
        return median(self.hash_times_ms or [0.0])

    def note(self, kind: str, target: str, users: int, figure: float) -> None:
        """Note a figure; of several the highest counts."""
        of_target = self.noted.setdefault(kind, {}).setdefault(target, {})
        of_target[users] = max(figure, of_target.get(users, 0.0))

    def worst(self, kind: str, target: str) -> float | None:
        """Return the highest figure of a target at any size."""
        return max(self.noted.get(kind, {}).get(target, {}).values(), default=None)


class Line(msgspec.Struct, frozen=True):
    """One line: ``measured`` is None where the run did not measure it."""

    work: str
    target: str
    measured: float | None
    least: bool  # is the target the least that must be reached, or the most that may be?
    bound: float
    unit: str = "×"

    @property
    def holds(self) -> bool | None:
        """Say whether it holds; None where it was not measured."""
        if self.measured is None:
            return None
        return self.measured >= self.bound if self.least else self.measured <= self.bound


class Figures:
    """Medians by scenario, target and users, with most workers and then fewest connections."""

    def __init__(self, results: Sequence[Result]) -> None:
        ranked = sorted(results, key=lambda r: (r.at.workers, -r.at.connections))
        self._rates = {(r.scenario, r.target, r.at.users): r for r in ranked}
        self.most = max((r.at.users for r in results), default=0)
        self.least = min((r.at.users for r in results), default=0)

    def rate(self, scenario: str, target: str, users: int = 0) -> float | None:
        """Return answers a second."""
        found = self._rates.get((scenario, target, users or self.most))
        return found.rate if found is not None and found.rate else None

    def latency(self, scenario: str, target: str) -> float | None:
        """Return the median latency in milliseconds."""
        found = self._rates.get((scenario, target, self.most))
        return found.median_ms or None if found is not None else None


def lines(results: Sequence[Result], facts: Facts) -> list[Line]:
    """Return every line, in the order of the list."""
    figures = Figures(results)
    found = [*_peers(figures), *_searches(figures, facts), *_hashes(figures, facts)]
    return [*found, *_growth(figures), *_machine(facts), *_floods(facts)]


def over(one: float | None, other: float | None) -> float | None:
    """Return a ratio; None where a side is missing."""
    return round(one / other, 3) if one and other else None


def _peers(at: Figures) -> Iterator[Line]:
    for scenario, bounds in (
        (
            "retrieve",
            {"Django REST framework": 25, "fastapi-users": 15, "floor: gathered reads": 0.6},
        ),
        ("list", {"Django REST framework": 10, "fastapi-users": 8}),
    ):
        for other, bound in bounds.items():
            ratio = over(at.rate(scenario, POSTGRESQL), at.rate(scenario, other))
            yield Line(f"{scenario}, PostgreSQL / {other}", POSTGRESQL, ratio, True, bound)
        if scenario == "retrieve":
            floor = "floor: SQLite, direct reads"
            ratio = over(at.rate(scenario, SQLITE), at.rate(scenario, floor))
            yield Line(f"retrieve, SQLite / {floor}", SQLITE, ratio, True, 0.6)
    for own in OURS:
        ratio = over(at.rate("list-500", own), at.rate("list", own))
        yield Line("list: time of half of all users / of 500", own, ratio, False, 1.2)


def _searches(at: Figures, facts: Facts) -> Iterator[Line]:
    for own in OURS:
        ratio = over(at.rate("list", own), at.rate("search-rare", own))
        yield Line("search, rare: time / of a list page", own, ratio, False, 3)
    for own in OURS:
        whole = at.latency("search-common", own)
        # Page and count come in one answer: only where the whole is fast enough, so is the page.
        page = whole if whole is not None and whole <= 30 else None
        yield Line("search, commonest letters: page", own, page, False, 30, "ms")
        yield Line("search, commonest letters: page and exact count", own, whole, False, 250, "ms")
        if beside := facts.searches.get(own):
            yield _p99("search, commonest letters: p99 of retrieves beside it", own, beside)


def _p99(work: str, own: str, beside: Beside) -> Line:
    """Three times the quiet p99, or 15 ms, whichever is more."""
    quiet = median(run.p99_ms for run in beside.quiet)
    bound = round(max(3 * quiet, 15.0), 1)
    return Line(work, own, median(run.p99_ms for run in beside.loaded), False, bound, "ms")


def _hashes(at: Figures, facts: Facts) -> Iterator[Line]:
    for own in OURS:
        ratio = over(at.rate("sign-in", own), facts.hash_limit)
        yield Line("sign-in alone / hash limit of the cores", own, ratio, True, 0.9)
    for own in OURS:
        if beside := facts.sign_ins.get(own):
            yield _p99("sign-ins without bound: p99 of retrieves", own, beside)
            rates = [median(run.rate for run in runs) for runs in (beside.loaded, beside.quiet)]
            yield Line("sign-ins without bound: rate of retrieves", own, over(*rates), True, 0.7)
            signed = median(beside.others)
            ratio = over(signed, facts.hash_limit)
            yield Line("sign-ins without bound: they / hash limit", own, ratio, True, 0.35)
    for own in OURS:
        ratio = over(at.latency("create-one", own), facts.hash_ms)
        yield Line("create: time / of its hash", own, ratio, False, 1.3)


def _growth(at: Figures) -> Iterator[Line]:
    for scenario in GROWING if at.least < at.most else ():
        for own in OURS:
            ratio = over(at.rate(scenario, own, at.least), at.rate(scenario, own))
            work = f"growth, {at.least:,} to {at.most:,}: {scenario}"
            yield Line(work, own, ratio, False, 1.3)
    for own in OURS:
        ratio = over(at.rate("list-all", own), at.rate("page-50000", own))
        yield Line("page 50,000 by number: time / of page 1", own, ratio, False, 20)


def _machine(facts: Facts) -> Iterator[Line]:
    for own in OURS:
        yield Line("memory of an idle worker", own, facts.worst("idle_mb", own), False, 90, "MB")
        after = facts.worst("after_mb", own)
        yield Line("memory of a worker after the bench", own, after, False, 150, "MB")
        yield Line("from start to ready", own, facts.worst("ready_s", own), False, 2, "s")


def _floods(facts: Facts) -> Iterator[Line]:
    for own, found in facts.overload.items():
        calm, flood, after = found.calm, found.flood, found.after
        bound = round(max(3 * calm.p99_ms, 500.0), 1)
        yield Line("overload: p99 of what is accepted", own, flood.p99_ms, False, bound, "ms")
        good = over(flood.in_time / found.seconds, found.capacity)
        yield Line("overload: goodput / capacity", own, good, True, 0.85)
        yield Line("overload: p99 of a refusal", own, flood.refused_p99_ms, False, 50, "ms")
        yield Line("overload: neither answered nor refused", own, flood.lost, False, 0, "")
        yield Line("overload: connections reset", own, flood.resets, False, 0, "")
        back = round(max(3 * calm.p99_ms, 15.0), 1)
        yield Line("5 s after the overload: p99", own, after.p99_ms, False, back, "ms")
