"""wrk as the load generator, where it is installed: it costs the servers less of the machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.load import GRACE_S, Measured, Plan

SCRIPT = """
local paths, at = {}, 0
for line in io.lines("PATHS") do paths[#paths + 1] = line end
request = function()
  at = at % #paths + 1
  return wrk.format("GET", paths[at])
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests":%d,"us":%d,"median":%d,"p99":%d,"failures":[%d,%d,%d,%d,%d]}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""
FAULTS = ("no connection", "read", "write", "status", "no answer")


def found() -> bool:
    """Say whether wrk is there."""
    return shutil.which("wrk") is not None


def measure(plan: Plan) -> Measured:
    """Carry out a plan with wrk; it times whole seconds, so a shorter plan takes one."""
    with tempfile.TemporaryDirectory(prefix="dragoman-bench-") as folder:
        paths, script = Path(folder) / "paths", Path(folder) / "script.lua"
        paths.write_text("\n".join(plan.paths))
        script.write_text(SCRIPT.replace("PATHS", str(paths)))
        warm: dict[str, Any] = _run(plan, script, plan.warm_up) if plan.warm_up else {}
        told = _run(plan, script, plan.seconds)
    counted: dict[str, int] = dict(zip(FAULTS, told["failures"], strict=True))
    return Measured(
        rate=round((told["requests"] - counted["status"]) / told["us"] * 1e6, 1),
        median_ms=round(told["median"] / 1000, 2),
        p99_ms=round(told["p99"] / 1000, 2),
        requests=told["requests"],
        answered=told["requests"] + warm.get("requests", 0),
        failures={fault: number for fault, number in counted.items() if number},
        generator_busy=0.0,
    )


def _run(plan: Plan, script: Path, seconds: float) -> dict[str, Any]:
    whole = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{plan.connections}", f"-d{whole}s", "-s", str(script)]
    header = ["-H", f"Authorization: Token {plan.token}"]
    done = subprocess.run(
        [*command, *header, plan.url], capture_output=True, check=True, timeout=whole + GRACE_S
    )
    return msgspec.json.decode(done.stderr)
