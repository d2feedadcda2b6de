"""Bar chart of Dragoman's rate divided by that of each peer and baseline."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.repetitions import Result
from benchmarks.scenarios import BY_KEY

DRAGOMAN_TARGETS = "dragoman, "
COLOURS = {"dragoman, PostgreSQL": "#336791", "dragoman, SQLite": "#7a9e3a"}


def ratios(results: Sequence[Result]) -> list[tuple[str, str, float, int]]:
    """Return (label, Dragoman target, ratio, users) for each scenario and other target.

    A baseline is compared only with Dragoman on the same database. If a scenario was measured
    under several conditions, the last one counts.
    """
    found: dict[tuple[str, str], tuple[str, str, float, int]] = {}
    for other in results:
        if other.target.startswith(DRAGOMAN_TARGETS) or not other.rate:
            continue
        for own in results:
            if (own.scenario, own.conditions) != (other.scenario, other.conditions) or own is other:
                continue
            if not own.target.startswith(DRAGOMAN_TARGETS) or (
                "baseline" in other.target and not _is_comparable(own, other)
            ):
                continue
            what = f"{BY_KEY[own.scenario].title}\n/ {other.target}"
            found[what, own.target] = (
                what,
                own.target,
                own.rate / other.rate,
                own.conditions.users,
            )
    return list(found.values())


def _is_comparable(own: Result, baseline: Result) -> bool:
    return ("SQLite" in own.target) == ("SQLite" in baseline.target)


def draw(results: Sequence[Result], path: Path) -> str:
    """Draw the chart as PNG; return its path, or "" without data or without matplotlib."""
    bars = ratios(results)
    if not bars:
        return ""
    if importlib.util.find_spec("matplotlib") is None:
        return ""  # `make bench` installs it; without it there are the tables
    importlib.import_module("matplotlib").use("Agg")
    plt: Any = importlib.import_module("matplotlib.pyplot")
    names = list(dict.fromkeys(bar[0] for bar in bars))
    figure: Any
    axes: Any
    figure, axes = plt.subplots(figsize=(11, 1.5 + 0.55 * len(names)), layout="constrained")
    for shift, (target, colour) in zip((-0.2, 0.2), COLOURS.items(), strict=True):
        mine = {what: ratio for what, own, ratio, _ in bars if own == target}
        places = [names.index(what) + shift for what in mine]
        if not mine:
            continue
        drawn = axes.barh(places, list(mine.values()), 0.38, color=colour, label=target)
        axes.bar_label(drawn, labels=[f"{ratio:.3g} ×" for ratio in mine.values()], padding=3)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g} ×")
    axes.axvline(1, color="#888", linewidth=1)
    axes.set_xlabel("Dragoman's rate / the other's, in one run (logarithmic)")
    axes.set_title(f"{bars[-1][3]:,} users")
    axes.margins(x=0.15)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return str(path)
