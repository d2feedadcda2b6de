"""`make bench` runs: a small round over our own server, without its peer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_quick_round_measures_something(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    options = ["--quick", "--targets", "sqlite", "--output"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options, str(output)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "retrieve" in done.stdout
    assert "Traceback" not in done.stderr
    assert json.loads(output.read_text())
