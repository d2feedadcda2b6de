"""What a run has to say: a table for people, JSON for programs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.load import Measured

LATEST = Path(__file__).with_name("results") / "latest.json"
PACKAGES = (
    "dragoman", "granian", "uvloop", "starlette", "msgspec", "asyncpg", "pysqlite3", "django",
    "djangorestframework", "psycopg",
)  # fmt: skip


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All repetitions of one scenario at one target."""

    scenario: str
    target: str
    runs: list[Measured]

    @property
    def rate(self) -> float:
        """Requests a second: the median of the repetitions."""
        return median(run.rate for run in self.runs)

    @property
    def failures(self) -> int:
        """How many requests failed, warm-up included."""
        return sum(sum(run.failures.values()) for run in self.runs)


def show(results: list[Result], against: str, conditions: dict[str, Any]) -> None:
    """Print a table per scenario; ratios are to the target of that name, within this run."""
    for scenario in dict.fromkeys(result.scenario for result in results):
        print(f"{scenario}\n{'':24}{'requests/s':>10}{'from – to':>16}{'ratio':>9}", end="")
        print(f"{'median ms':>11}{'p99 ms':>9}{'CPU µs':>9}{'failed':>8}")
        measured = [result for result in results if result.scenario == scenario]
        base = next((result.rate for result in measured if result.target == against), 0.0)
        for result in measured:
            print(_line(result, base))
        print()
    busiest = max(run.generator_busy for result in results for run in result.runs)
    print(
        "{users:,} users, {workers} workers, {connections} connections, {repetitions} × {seconds:g} s"
        " each in turns, medians of them.\nCPU: what the server's own processes worked for one"
        " answer, without PostgreSQL's.\nLoad: {generator}".format_map(conditions)
        + (f", which kept at most {busiest:.0%} of a core busy." if busiest else ".")
    )


def _line(result: Result, base: float) -> str:
    runs = result.runs
    rates = [run.rate for run in runs]
    between = f"{min(rates):,.0f} – {max(rates):,.0f}"
    ratio = f"{result.rate / base:.1f} ×" if base else ""
    return (
        f"  {result.target:22}{result.rate:>10,.0f}{between:>16}{ratio:>9}"
        f"{median(run.median_ms for run in runs):>11.2f}{median(run.p99_ms for run in runs):>9.2f}"
        f"{median(run.server_us for run in runs):>9,.0f}{result.failures or '':>8}"
    )


def write(results: list[Result], conditions: dict[str, Any], path: Path = LATEST) -> None:
    """Write every repetition, and what machine and versions they were measured with."""
    told = {
        "conditions": conditions,
        "machine": machine(),
        "results": [
            {**msgspec.to_builtins(result), "rate": result.rate, "failures": result.failures}
            for result in results
        ],
    }
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],  # of the last minute: who else was working
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
