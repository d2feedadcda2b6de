"""What a run has to say: a table for people, JSON for programs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

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
    """Print the table; ratios are against the target of that name, within this run."""
    table = Table("target", title_justify="left")
    for heading in ("requests/s", "lowest – highest", "ratio", "median ms", "p99 ms", "failed"):
        table.add_column(heading, justify="right")
    for scenario in dict.fromkeys(result.scenario for result in results):
        table.add_section()
        table.add_row(f"[bold]{scenario}")
        for result in (r for r in results if r.scenario == scenario):
            table.add_row(*_cells(result, results, against))
    console = Console()
    console = console if console.is_terminal else Console(width=100)
    console.print(table)
    busiest = max(run.generator_busy for result in results for run in result.runs)
    console.print(
        f"{conditions['users']:,} users, {conditions['workers']} workers, "
        f"{conditions['connections']} connections, {conditions['repetitions']} × "
        f"{conditions['seconds']} s each, interleaved; medians; load by {conditions['generator']}"
        + (f", which kept up to {busiest:.0%} of a core busy." if busiest else "."),
        soft_wrap=True,
    )


def _cells(result: Result, results: list[Result], against: str) -> list[str]:
    base = [r.rate for r in results if (r.scenario, r.target) == (result.scenario, against)]
    rates = [run.rate for run in result.runs]
    return [
        f"  {result.target}",
        f"{result.rate:,.0f}",
        f"{min(rates):,.0f} – {max(rates):,.0f}",
        f"{result.rate / base[0]:.1f} ×" if base and base[0] else "",
        f"{median(run.median_ms for run in result.runs):.2f}",
        f"{median(run.p99_ms for run in result.runs):.2f}",
        str(result.failures or ""),
    ]


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
