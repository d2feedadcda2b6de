"""Performance targets: measured figure, bound, and whether it is met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median

import msgspec

from benchmarks.load import Measurement
from benchmarks.open_loop import OpenLoopResult
from benchmarks.repetitions import Result

POSTGRESQL, SQLITE = "dragoman, PostgreSQL", "dragoman, SQLite"
DRAGOMAN_TARGETS = (POSTGRESQL, SQLITE)
GROWING = ("retrieve", "list", "filtered", "walk", "search-rare")


class DisturbedMeasurement(msgspec.Struct, frozen=True):
    """Retrieves alone, retrieves beside other requests, and the rate of those (per second).

    For sign-ins, ``limits`` are the hashes per second that the cores could do just before.
    """

    undisturbed: list[Measurement]
    disturbed: list[Measurement]
    others: list[float]
    limits: list[float]


class Overload(msgspec.Struct, frozen=True):
    """The capacity (answers per second), and results at half of it, twice of it, and half again."""

    capacity: float
    seconds: float
    half_capacity: OpenLoopResult
    double_capacity: OpenLoopResult
    recovery: OpenLoopResult


class Findings(msgspec.Struct):
    """What was found beside the rounds.

    ``hash_rates`` and ``hash_times_ms`` are what hashes alone took just before each sign-in and
    each creation that was measured at a target; ``noted`` holds figures by kind, target and number of users, ``missing`` why a target is not
    there.
    """

    hash_rates: dict[str, list[float]] = {}
    hash_times_ms: dict[str, list[float]] = {}
    copy_rate: float = 0.0
    recorded: dict[str, dict[str, dict[int, float]]] = {}
    missing: dict[str, str] = {}
    sign_ins: dict[str, DisturbedMeasurement] = {}
    searches: dict[str, DisturbedMeasurement] = {}
    overload: dict[str, list[Overload]] = {}

    @property
    def hash_limit(self) -> float:
        """Hashes per second on all cores: the median of the repetitions."""
        return median([rate for rates in self.hash_rates.values() for rate in rates] or [0.0])

    @property
    def hash_ms(self) -> float:
        """Milliseconds of a single hash: the median of the repetitions."""
        return median([ms for times in self.hash_times_ms.values() for ms in times] or [0.0])

    def measure_hashes(self, scenario: str, target: str, limit: Callable[[int], float]) -> None:
        """Measure hashes alone if the next scenario depends on them.

        ``limit(processes)`` returns the hashes per second of that many processes; 0 for one per
        core.
        """
        if scenario == "sign-in":
            self.hash_rates.setdefault(target, []).append(limit(0))
        if scenario == "create-one":
            self.hash_times_ms.setdefault(target, []).append(round(1000 / limit(1), 2))

    def record(self, metric: str, target: str, users: int, figure: float) -> None:
        """Record a figure; of several the highest is kept."""
        of_target = self.recorded.setdefault(metric, {}).setdefault(target, {})
        of_target[users] = max(figure, of_target.get(users, 0.0))

    def worst(self, metric: str, target: str) -> float | None:
        """Return the highest figure of a target at any size."""
        return max(self.recorded.get(metric, {}).get(target, {}).values(), default=None)


class PerformanceTarget(msgspec.Struct, frozen=True):
    """A target; ``measured`` is None if the run did not measure it."""

    description: str
    target: str
    measured: float | None
    is_minimum: bool  # whether ``bound`` is a minimum or a maximum
    bound: float
    unit: str = "×"

    @property
    def is_met(self) -> bool | None:
        """Say whether the target is met; None if it was not measured."""
        if self.measured is None:
            return None
        return self.measured >= self.bound if self.is_minimum else self.measured <= self.bound


class Medians:
    """Results by scenario, target and users; with the most workers, then the fewest connections."""

    def __init__(self, results: Sequence[Result]) -> None:
        ranked = sorted(results, key=lambda r: (r.conditions.workers, -r.conditions.connections))
        self._rates = {(r.scenario, r.target, r.conditions.users): r for r in ranked}
        self.most = max((r.conditions.users for r in results), default=0)
        self.least = min((r.conditions.users for r in results), default=0)

    def measurements(self, scenario: str, target: str, users: int = 0) -> Result | None:
        """Return a result; ``users`` 0 means the largest size."""
        return self._rates.get((scenario, target, users or self.most))

    def rates(self, scenario: str, target: str, users: int = 0) -> list[float]:
        """Return the answers per second of every repetition."""
        found = self.measurements(scenario, target, users)
        return [run.rate for run in found.runs] if found is not None else []

    def latency(self, scenario: str, target: str) -> float | None:
        """Return the median latency in milliseconds."""
        found = self.measurements(scenario, target)
        return found.median_ms or None if found is not None else None

    def latencies(self, scenario: str, target: str) -> list[float]:
        """Return the median latency of every repetition, in milliseconds."""
        found = self.measurements(scenario, target)
        return [run.median_ms for run in found.runs] if found is not None else []


def performance_targets(results: Sequence[Result], findings: Findings) -> list[PerformanceTarget]:
    """Return all targets with their measured figures."""
    figures = Medians(results)
    found = [*_peers(figures), *_searches(figures, findings), *_hashes(figures, findings)]
    return [*found, *_growth(figures), *_machine(findings), *_overload(findings)]


def median_ratio(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return the median ratio of two measurements' repetitions; None if one is missing.

    A repetition measures both within the same minute, so that a disturbance affects both.
    """
    pairs = [a / b for a, b in zip(one, other, strict=False) if a and b]
    return round(median(pairs), 3) if pairs else None


def _peers(at: Medians) -> Iterator[PerformanceTarget]:
    for scenario, bounds in (
        (
            "retrieve",
            {"Django REST framework": 25, "fastapi-users": 15, "baseline: batched reads": 0.6},
        ),
        ("list", {"Django REST framework": 10, "fastapi-users": 8}),
    ):
        for other, bound in bounds.items():
            ratio = median_ratio(at.rates(scenario, POSTGRESQL), at.rates(scenario, other))
            yield PerformanceTarget(
                f"{scenario}, PostgreSQL / {other}", POSTGRESQL, ratio, True, bound
            )
        if scenario == "retrieve":
            baseline = "baseline: SQLite, direct reads"
            ratio = median_ratio(at.rates(scenario, SQLITE), at.rates(scenario, baseline))
            yield PerformanceTarget(f"retrieve, SQLite / {baseline}", SQLITE, ratio, True, 0.6)
    for own in DRAGOMAN_TARGETS:
        ratio = median_ratio(at.rates("list-500", own), at.rates("list", own))
        yield PerformanceTarget("list: time of half of all users / of 500", own, ratio, False, 1.2)


def _searches(at: Medians, findings: Findings) -> Iterator[PerformanceTarget]:
    for own in DRAGOMAN_TARGETS:
        ratio = median_ratio(at.rates("list", own), at.rates("search-rare", own))
        yield PerformanceTarget("search, rare: time / of a list page", own, ratio, False, 3)
    for own in DRAGOMAN_TARGETS:
        whole = at.latency("search-common", own)
        # Page and count come in one answer: if the whole answer is fast enough, so is the page.
        page = whole if whole is not None and whole <= 30 else None
        yield PerformanceTarget("search, commonest letters: page", own, page, False, 30, "ms")
        yield PerformanceTarget(
            "search, commonest letters: page and exact count", own, whole, False, 250, "ms"
        )
        if beside := findings.searches.get(own):
            yield _p99("search, commonest letters: p99 of retrieves beside it", own, beside)


def _p99(work: str, own: str, beside: DisturbedMeasurement) -> PerformanceTarget:
    """The bound is three times the undisturbed p99, at least 15 ms."""
    quiet = median(run.p99_ms for run in beside.undisturbed)
    bound = round(max(3 * quiet, 15.0), 1)
    return PerformanceTarget(
        work, own, median(run.p99_ms for run in beside.disturbed), False, bound, "ms"
    )


def _hashes(at: Medians, findings: Findings) -> Iterator[PerformanceTarget]:
    for own in DRAGOMAN_TARGETS:
        ratio = median_ratio(at.rates("sign-in", own), findings.hash_rates.get(own, []))
        yield PerformanceTarget("sign-in alone / hash limit of the cores", own, ratio, True, 0.9)
    for own in DRAGOMAN_TARGETS:
        if beside := findings.sign_ins.get(own):
            yield _p99("sign-ins without limit: p99 of retrieves", own, beside)
            ratio = median_ratio(
                *([run.rate for run in runs] for runs in (beside.disturbed, beside.undisturbed))
            )
            yield PerformanceTarget(
                "sign-ins without limit: rate of retrieves", own, ratio, True, 0.7
            )
            ratio = median_ratio(beside.others, beside.limits)
            yield PerformanceTarget(
                "sign-ins without limit: sign-ins / hash limit", own, ratio, True, 0.35
            )
    for own in DRAGOMAN_TARGETS:
        ratio = median_ratio(at.latencies("create-one", own), findings.hash_times_ms.get(own, []))
        yield PerformanceTarget("create: time / of its hash", own, ratio, False, 1.3)


def _growth(at: Medians) -> Iterator[PerformanceTarget]:
    for scenario in GROWING if at.least < at.most else ():
        for own in DRAGOMAN_TARGETS:
            ratio = median_ratio(at.rates(scenario, own, at.least), at.rates(scenario, own))
            work = f"growth, {at.least:,} to {at.most:,}: {scenario}"
            yield PerformanceTarget(work, own, ratio, False, 1.3)
    for own in DRAGOMAN_TARGETS:
        ratio = median_ratio(at.rates("list-all", own), at.rates("page-50000", own))
        yield PerformanceTarget("page 50,000 by number: time / of page 1", own, ratio, False, 20)


def _machine(findings: Findings) -> Iterator[PerformanceTarget]:
    for own in DRAGOMAN_TARGETS:
        yield PerformanceTarget(
            "memory of an idle worker", own, findings.worst("idle_mb", own), False, 90, "MB"
        )
        after = findings.worst("after_mb", own)
        yield PerformanceTarget("memory of a worker after the bench", own, after, False, 150, "MB")
        yield PerformanceTarget(
            "from start to ready", own, findings.worst("ready_s", own), False, 2, "s"
        )


def _overload(findings: Findings) -> Iterator[PerformanceTarget]:
    for own, found in findings.overload.items():
        calm = median(each.half_capacity.p99_ms for each in found)
        p99 = median(each.double_capacity.p99_ms for each in found)
        bound = round(max(3 * calm, 500.0), 1)
        yield PerformanceTarget("overload: p99 of what is accepted", own, p99, False, bound, "ms")
        good = [each.double_capacity.in_time / each.seconds for each in found]
        ratio = median_ratio(good, [each.capacity for each in found])
        yield PerformanceTarget("overload: goodput / capacity", own, ratio, True, 0.85)
        p99 = median(each.double_capacity.refused_p99_ms for each in found)
        yield PerformanceTarget("overload: p99 of a refusal", own, p99, False, 50, "ms")
        lost, resets = (
            sum(getattr(each.double_capacity, k) for each in found) for k in ("lost", "resets")
        )
        yield PerformanceTarget("overload: neither answered nor refused", own, lost, False, 0, "")
        yield PerformanceTarget("overload: connections reset", own, resets, False, 0, "")
        back = round(max(3 * calm, 15.0), 1)
        after = median(each.recovery.p99_ms for each in found)
        yield PerformanceTarget("5 s after the overload: p99", own, after, False, back, "ms")
