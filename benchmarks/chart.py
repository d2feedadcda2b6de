"""The picture: how many times a peer's or a floor's rate ours is, as bars."""

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
    """Return (what, target of ours, ratio, users) for everything measured beside ours.

    One entry for each work and other target; of ours, the one on the same database where a
    floor's is known. Of several conditions the last one measured counts.
    """
    found: dict[tuple[str, str], tuple[str, str, float, int]] = {}
    for other in results:
        if other.target.startswith(DRAGOMAN_TARGETS) or not other.rate:
            continue
        for own in results:
            if (own.scenario, own.conditions) != (other.scenario, other.conditions) or own is other:
                continue
            if not own.target.startswith(DRAGOMAN_TARGETS) or (
                "floor" in other.target and not _is_comparable(own, other)
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
    """Draw the bars into a PNG; returns its path, or nothing where it has nothing to draw (with)."""
    bars = ratios(results)
    if not bars:
        return ""
    if importlib.util.find_spec("matplotlib") is None:
        return ""  # `make bench` installs it; whoever runs the module alone has the tables
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
    axes.set_xlabel("our rate / theirs, in one run (logarithmic)")
    axes.set_title(f"{bars[-1][3]:,} users")
    axes.margins(x=0.15)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return str(path)
