"""wrk as load generator: it leaves more of the machine to the servers than `load.py`.

If it is not installed, Debian's package is unpacked into the user's cache folder; that changes
nothing in the system and needs no privileges.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from benchmarks.http_codec import NUMBER_PLACEHOLDER, address_of
from benchmarks.load import GRACE_S, LoadPlan, Measurement
from tests.support import debian_packages

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dragoman-bench"
PACKAGES = ("wrk", "libluajit-5.1-2")

SCRIPT = """
local asks, at, number = {}, 0, 0
for line in io.lines("ASKS") do
  asks[#asks + 1] = line:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end)
end
request = function()
  at = at % #asks + 1
  if not NUMBERED then return asks[at] end
  number = number + 1
  return (asks[at]:gsub("MARK", string.format("SALT%07d", number)))
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests":%d,"us":%d,"median":%d,"p99":%d,"failures":[%d,%d,%d,%d,%d]}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""
FAILURE_NAMES = ("no connection", "read", "write", "status", "no answer")


@functools.cache
def wrk_command() -> tuple[str, ...]:
    """Return the command that starts wrk, fetched if necessary; empty if it is not available."""
    if installed := shutil.which("wrk"):
        return (installed,)
    program = CACHE / "wrk" / "usr" / "bin" / "wrk"
    if not program.exists():
        try:
            debian_packages.unpack(PACKAGES, CACHE / "wrk")
        except (OSError, subprocess.SubprocessError):
            return ()
    libraries = {str(path.parent) for path in (CACHE / "wrk").rglob("libluajit-*.so.2")}
    command = ("env", f"LD_LIBRARY_PATH={':'.join(sorted(libraries))}", str(program))
    try:
        shown = subprocess.run([*command, "-v"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ()
    return command if shown.stdout.startswith(b"wrk ") else ()


def measure(plan: LoadPlan) -> Measurement:
    """Run a plan with wrk, which measures whole seconds: a shorter plan takes one.

    Its status failures are all answers of 400 and above, including refusals; the comparison of
    answers has checked the expected status before.
    """
    with tempfile.TemporaryDirectory(prefix="dragoman-bench-") as folder:
        asks, script = Path(folder) / "asks", Path(folder) / "script.lua"
        host = "{}:{}".format(*address_of(plan.url))
        asks.write_text("\n".join(ask.encode(host).hex() for ask in plan.requests))
        numbered = any(NUMBER_PLACEHOLDER in ask.body for ask in plan.requests)
        text = SCRIPT.replace("ASKS", str(asks)).replace("MARK", NUMBER_PLACEHOLDER)
        text = text.replace("NUMBERED", "true" if numbered else "false")
        warm: dict[str, Any] = {}
        if plan.warm_up:
            script.write_text(text.replace("SALT", f"w{plan.salt[1:]}"))
            warm = _run(plan, script, plan.warm_up)
        script.write_text(text.replace("SALT", plan.salt))
        output = _run(plan, script, plan.seconds)
    counted: dict[str, int] = dict(zip(FAILURE_NAMES, output["failures"], strict=True))
    return Measurement(
        rate=round((output["requests"] - counted["status"]) / output["us"] * 1e6, 1),
        median_ms=round(output["median"] / 1000, 2),
        p99_ms=round(output["p99"] / 1000, 2),
        requests=output["requests"],
        answered=output["requests"] + warm.get("requests", 0),
        failures={name: number for name, number in counted.items() if number},
        refused=0,
        generator_busy=0.0,
    )


def _run(plan: LoadPlan, script: Path, seconds: float) -> dict[str, Any]:
    whole = max(1, round(seconds))
    command = [*wrk_command(), "-t1", f"-c{plan.connections}", f"-d{whole}s", "-s", str(script)]
    url = urlsplit(plan.url)._replace(path="/").geturl()
    options = ["--timeout", f"{GRACE_S:.0f}s", url]
    done = subprocess.run(
        [*command, *options], capture_output=True, check=True, timeout=whole + 2 * GRACE_S
    )
    return msgspec.json.decode(done.stderr)
