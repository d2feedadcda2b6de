"""The results of a run: tables for people, JSON for programs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks import targets
from benchmarks.open_loop import OpenLoopResult
from benchmarks.repetitions import Result
from benchmarks.scenarios import BY_KEY
from benchmarks.targets import Findings

LATEST = Path(__file__).with_name("results") / "latest.json"
PACKAGES = (
    "dragoman", "granian", "uvloop", "starlette", "msgspec", "asyncpg", "apsw", "django",
    "djangorestframework", "psycopg",
)  # fmt: skip
FIRST = "dragoman, PostgreSQL"
RESULT_WORDS = {True: "met", False: "missed", None: "not measured"}


def show(results: list[Result], findings: Findings, conditions: dict[str, Any]) -> None:
    """Print a table for each size and scenario, further findings, and the targets."""
    for at in dict.fromkeys(result.conditions for result in results):
        here = [result for result in results if result.conditions == at]
        print(f"{at.users:,} users, {at.workers} workers, {at.connections} connections\n")
        for key in dict.fromkeys(result.scenario for result in here):
            measured = [result for result in here if result.scenario == key]
            print(f"{BY_KEY[key].title}\n{'':28}{'requests/s':>10}{'from – to':>16}", end="")
            print(
                f"{'ratio':>10}{'median ms':>11}{'p99 ms':>9}{'CPU µs':>9}{'refused':>8}{'failed':>8}"
            )
            base = next((result.rate for result in measured if result.target == FIRST), 0.0)
            print(*(_line(result, base) for result in measured), "", sep="\n")
    _show_findings(findings)
    print("Targets")
    for line in targets.performance_targets(results, findings):
        print(_performance_target(line))
    busiest = max((run.generator_busy for result in results for run in result.runs), default=0.0)
    print(
        "\n{repetitions} × {seconds:g} s each, in turns; medians. Ratio: Dragoman on PostgreSQL / target.\n"
        "Targets: medians of ratios within the same repetition.\n"
        "CPU: time of the server's own processes per answer, without PostgreSQL's.\n"
        "Load generator: {generator}".format_map(conditions)
        + (f"; benchmarks/load.py used at most {busiest:.0%} of a core." if busiest else ".")
    )


def _line(result: Result, base: float) -> str:
    runs = result.runs
    rates = [run.rate for run in runs]
    between = f"{min(rates):,.0f} – {max(rates):,.0f}"
    ratio = f"{base / result.rate:.2f} ×" if base and result.rate else ""
    return (
        f"  {result.target:26}{result.rate:>10,.0f}{between:>16}{ratio:>10}"
        f"{result.median_ms:>11.2f}{median(run.p99_ms for run in runs):>9.2f}"
        f"{median(run.server_us for run in runs):>9,.0f}{result.refused or '':>8}{result.failures or '':>8}"
    )


def _show_findings(findings: Findings) -> None:
    if findings.hash_limit:
        print(
            f"hash limit of the cores: {findings.hash_limit:,.1f}/s; one hash: {findings.hash_ms} ms"
        )
    if findings.copy_rate:
        print(f"bare COPY of the users table, no index: {findings.copy_rate:,.0f} rows/s")
    for target, sizes in findings.recorded.get("filled_s", {}).items():
        fill_times = ", ".join(f"{users:,} users in {took:g} s" for users, took in sizes.items())
        print(f"loaded with indexes, {target}: {fill_times}")
    for target, floods in findings.overload.items():
        for found in floods:
            print(
                f"overload, {target}: capacity {found.capacity:,.0f}/s; {_offered(found.double_capacity)}"
            )
    for name, why in findings.missing.items():
        print(f"{name} was left out: {why.splitlines()[0] if why else ''}")
    print()


def _offered(flood: OpenLoopResult) -> str:
    shares = {
        "accepted": flood.accepted,
        "503 with Retry-After": flood.refused - flood.without_retry_after,
        "503 without": flood.without_retry_after,
        "reset": flood.resets,
        "unanswered": flood.unanswered,
        "no free connection": flood.unsent,
    }
    summary = (
        f"{number / max(1, flood.offered):.0%} {what}" for what, number in shares.items() if number
    )
    return f"of {flood.offered:,} requests at twice that rate: {', '.join(summary)}"


def _performance_target(line: targets.PerformanceTarget) -> str:
    shown = "–" if line.measured is None else f"{line.measured:,.4g} {line.unit}".strip()
    bound = f"{'≥' if line.is_minimum else '≤'} {line.bound:,.6g} {line.unit}".strip()
    name = line.target.removeprefix("dragoman, ")
    return f"  {line.description:58}{name:12}{shown:>14}{bound:>14}  {RESULT_WORDS[line.is_met]}"


def write(
    results: list[Result], findings: Findings, conditions: dict[str, Any], path: Path = LATEST
) -> None:
    """Write every repetition, the machine and the versions as JSON."""
    document = {
        "conditions": conditions,
        "machine": machine(),
        "targets": [
            {**msgspec.to_builtins(line), "is_met": line.is_met}
            for line in targets.performance_targets(results, findings)
        ],
        "findings": msgspec.to_builtins(findings, str_keys=True),
        "results": [
            {**msgspec.to_builtins(result), "rate": result.rate, "failures": result.failures}
            for result in results
        ],
    }
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")


def machine() -> dict[str, Any]:
    """Return details of the machine and versions of packages."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],  # of the last minute, including other work
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
