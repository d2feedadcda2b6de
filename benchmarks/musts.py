"""What must hold: each line with its measured figure, its target, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median

import msgspec

from benchmarks.load import Measured
from benchmarks.offered import Offered
from benchmarks.rounds import Result

POSTGRESQL, SQLITE = "dragoman, PostgreSQL", "dragoman, SQLite"
OURS = (POSTGRESQL, SQLITE)
GROWING = ("retrieve", "list", "filtered", "walk", "search-rare")


class Beside(msgspec.Struct, frozen=True):
    """Retrieves alone, retrieves beside something else, and the answers a second of that.

    Beside sign-ins, ``limits`` is what the cores could hash a second just before.
    """

    quiet: list[Measured]
    loaded: list[Measured]
    others: list[float]
    limits: list[float]


class Overload(msgspec.Struct, frozen=True):
    """A half of the capacity (answers a second), twice of it, and a half again."""

    capacity: float
    seconds: float
    calm: Offered
    flood: Offered
    after: Offered


class Facts(msgspec.Struct):
    """What was found beside the rounds.

    ``hash_rates`` and ``hash_times_ms`` are what hashes alone took just before each sign-in and
    each creation that was measured at a target; ``noted`` holds figures by kind, target and number of users, ``missing`` why a target is not
    there.
    """

    hash_rates: dict[str, list[float]] = {}
    hash_times_ms: dict[str, list[float]] = {}
    copy_rate: float = 0.0
    noted: dict[str, dict[str, dict[int, float]]] = {}
    missing: dict[str, str] = {}
    sign_ins: dict[str, Beside] = {}
    searches: dict[str, Beside] = {}
    overload: dict[str, list[Overload]] = {}

    @property
    def hash_limit(self) -> float:
        """Return verifications a second on all cores: the median of the repetitions."""
        return median([rate for rates in self.hash_rates.values() for rate in rates] or [0.0])

    @property
    def hash_ms(self) -> float:
        """Return milliseconds of one hash alone: the median of the repetitions."""
        return median([ms for times in self.hash_times_ms.values() for ms in times] or [0.0])

    def hash(self, scenario: str, target: str, limit: Callable[[int], float]) -> None:
        """Note what hashes alone take, where the next thing to be measured is made of them.

        ``limit(processes)`` is how many a second so many processes do; 0: one for each core.
        """
        if scenario == "sign-in":
            self.hash_rates.setdefault(target, []).append(limit(0))
        if scenario == "create-one":
            self.hash_times_ms.setdefault(target, []).append(round(1000 / limit(1), 2))

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

    def found(self, scenario: str, target: str, users: int = 0) -> Result | None:
        """Return what was measured."""
        return self._rates.get((scenario, target, users or self.most))

    def rates(self, scenario: str, target: str, users: int = 0) -> list[float]:
        """Return answers a second of every repetition."""
        found = self.found(scenario, target, users)
        return [run.rate for run in found.runs] if found is not None else []

    def latency(self, scenario: str, target: str) -> float | None:
        """Return the median latency in milliseconds."""
        found = self.found(scenario, target)
        return found.median_ms or None if found is not None else None

    def latencies(self, scenario: str, target: str) -> list[float]:
        """Return the median latency of every repetition, in milliseconds."""
        found = self.found(scenario, target)
        return [run.median_ms for run in found.runs] if found is not None else []


def lines(results: Sequence[Result], facts: Facts) -> list[Line]:
    """Return every line, in the order of the list."""
    figures = Figures(results)
    found = [*_peers(figures), *_searches(figures, facts), *_hashes(figures, facts)]
    return [*found, *_growth(figures), *_machine(facts), *_floods(facts)]


def over(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return the median ratio of two measurements' repetitions; None where a side is missing.

    A repetition measures both within the same minute: what disturbs one disturbs the other.
    """
    pairs = [a / b for a, b in zip(one, other, strict=False) if a and b]
    return round(median(pairs), 3) if pairs else None


def _peers(at: Figures) -> Iterator[Line]:
    for scenario, bounds in (
        (
            "retrieve",
            {"Django REST framework": 25, "fastapi-users": 15, "floor: gathered reads": 0.6},
        ),
        ("list", {"Django REST framework": 10, "fastapi-users": 8}),
    ):
        for other, bound in bounds.items():
            ratio = over(at.rates(scenario, POSTGRESQL), at.rates(scenario, other))
            yield Line(f"{scenario}, PostgreSQL / {other}", POSTGRESQL, ratio, True, bound)
        if scenario == "retrieve":
            floor = "floor: SQLite, direct reads"
            ratio = over(at.rates(scenario, SQLITE), at.rates(scenario, floor))
            yield Line(f"retrieve, SQLite / {floor}", SQLITE, ratio, True, 0.6)
    for own in OURS:
        ratio = over(at.rates("list-500", own), at.rates("list", own))
        yield Line("list: time of half of all users / of 500", own, ratio, False, 1.2)


def _searches(at: Figures, facts: Facts) -> Iterator[Line]:
    for own in OURS:
        ratio = over(at.rates("list", own), at.rates("search-rare", own))
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
        ratio = over(at.rates("sign-in", own), facts.hash_rates.get(own, []))
        yield Line("sign-in alone / hash limit of the cores", own, ratio, True, 0.9)
    for own in OURS:
        if beside := facts.sign_ins.get(own):
            yield _p99("sign-ins without bound: p99 of retrieves", own, beside)
            ratio = over(*([run.rate for run in runs] for runs in (beside.loaded, beside.quiet)))
            yield Line("sign-ins without bound: rate of retrieves", own, ratio, True, 0.7)
            ratio = over(beside.others, beside.limits)
            yield Line("sign-ins without bound: they / hash limit", own, ratio, True, 0.35)
    for own in OURS:
        ratio = over(at.latencies("create-one", own), facts.hash_times_ms.get(own, []))
        yield Line("create: time / of its hash", own, ratio, False, 1.3)


def _growth(at: Figures) -> Iterator[Line]:
    for scenario in GROWING if at.least < at.most else ():
        for own in OURS:
            ratio = over(at.rates(scenario, own, at.least), at.rates(scenario, own))
            work = f"growth, {at.least:,} to {at.most:,}: {scenario}"
            yield Line(work, own, ratio, False, 1.3)
    for own in OURS:
        ratio = over(at.rates("list-all", own), at.rates("page-50000", own))
        yield Line("page 50,000 by number: time / of page 1", own, ratio, False, 20)


def _machine(facts: Facts) -> Iterator[Line]:
    for own in OURS:
        yield Line("memory of an idle worker", own, facts.worst("idle_mb", own), False, 90, "MB")
        after = facts.worst("after_mb", own)
        yield Line("memory of a worker after the bench", own, after, False, 150, "MB")
        yield Line("from start to ready", own, facts.worst("ready_s", own), False, 2, "s")


def _floods(facts: Facts) -> Iterator[Line]:
    for own, found in facts.overload.items():
        calm = median(each.calm.p99_ms for each in found)
        p99 = median(each.flood.p99_ms for each in found)
        bound = round(max(3 * calm, 500.0), 1)
        yield Line("overload: p99 of what is accepted", own, p99, False, bound, "ms")
        good = [each.flood.in_time / each.seconds for each in found]
        ratio = over(good, [each.capacity for each in found])
        yield Line("overload: goodput / capacity", own, ratio, True, 0.85)
        p99 = median(each.flood.refused_p99_ms for each in found)
        yield Line("overload: p99 of a refusal", own, p99, False, 50, "ms")
        lost, resets = (sum(getattr(each.flood, k) for each in found) for k in ("lost", "resets"))
        yield Line("overload: neither answered nor refused", own, lost, False, 0, "")
        yield Line("overload: connections reset", own, resets, False, 0, "")
        back = round(max(3 * calm, 15.0), 1)
        after = median(each.after.p99_ms for each in found)
        yield Line("5 s after the overload: p99", own, after, False, back, "ms")
