"""The log: what becomes a line of it, how lines look, and how many of them a caller can cause."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from dragoman.settings import Rate, Settings
from dragoman.web import logs, resource
from dragoman.web.logs import LogThrottle
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import API

SECONDS = itertools.count(76_400)
"""Windows of this length are counted by no other test."""


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged, by name."""
    noted: list[str] = []
    monkeypatch.setattr(resource, "throttle", LogThrottle())
    for level in ("info", "warning"):
        monkeypatch.setattr(resource.log, level, lambda event, **_: noted.append(event))
    return noted


@pytest.mark.anyio
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_caller_beyond_its_rate_fills_no_disk(settings: Settings, events: list[str]):
    rate = Rate(5, next(SECONDS))
    limited = settings_for(settings.database, anonymous_rate=rate)
    async with running_client(limited) as client:
        for _ in range(60):
            await client.get(f"{API}/users/")
    counts = {name: events.count(name) for name in ("limited", "refused")}
    assert 1 <= counts["limited"] <= 5, counts  # one a second
    assert 1 <= counts["refused"] <= 5, counts


@pytest.mark.anyio
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_each_refusal_is_logged_once(client: httpx.AsyncClient, events: list[str]):
    await client.get(f"{API}/users/1/")
    await client.get(f"{API}/tenants/me/")
    await client.post(f"{API}/users/", json={})
    assert events.count("refused") == 3


def test_keys_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    throttle = LogThrottle()
    logged = [throttle.should_log(f"key {number}") for number in range(5000)]
    assert sum(each is not None for each in logged) == LogThrottle.MAX_KEYS + 1


def lines_of(code: str, log_format: str = "json") -> list[str]:
    """Return what a program writes to standard error whose output is captured."""
    program = f"from dragoman.web import logs\nlogs.configure('info', {log_format!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.stdout == b""
    return done.stderr.decode().splitlines()


def test_whatever_python_writes_becomes_a_line() -> None:
    """The messages of exceptions are left out: they may quote what somebody has sent."""
    code = r"""
logs.capture_all("info", worker=3)
import asyncio, logging, threading, warnings
logging.getLogger("quiet").debug("hidden")
logging.getLogger("library").warning("%s of them", 2)
logging.getLogger("library").warning("does not fit %d", "secret", "secret")
logging.getLogger("strange").log(5, "hidden"); logging.getLogger("strange").log(35, "louder")
warnings.warn("old")
async def work():
    asyncio.get_running_loop().call_soon(fail_at_once, "secret")
    asyncio.create_task(fail())
    await asyncio.sleep(0)
def fail_at_once(argument):
    raise LookupError("secret")
async def fail():
    raise ValueError("secret")
asyncio.run(work())
import gc; gc.collect()
class Fragile:
    def __del__(self):
        raise KeyError("secret")
Fragile()
def end():
    raise OSError("secret")
thread = threading.Thread(target=end, name="painter"); thread.start(); thread.join()
logs.log.info("odd", name="\udcff", value=object)
raise RuntimeError("secret")
"""
    lines = lines_of(code)
    assert "secret" not in "".join(lines)
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert all(list(event)[:3] == ["time", "level", "event"] for event in events)
    assert {event["worker"] for event in events} == {3}
    seen = [(event["level"], event["event"], event.get("error")) for event in events]
    assert seen[:3] == [
        ("warning", "2 of them", None),
        ("warning", "does not fit %d", None),
        ("warning", "louder", None),
    ]
    assert "UserWarning: old" in seen[3][1]
    assert seen[4:] == [
        ("error", "Exception in callback fail_at_once", "LookupError"),
        ("error", "Task exception was never retrieved", "ValueError"),
        ("error", "bug", "KeyError"),
        ("error", "bug", "OSError"),
        ("info", "odd", None),
        ("critical", "bug", "RuntimeError"),
    ]
    assert events[-1]["frames"] == ["<string>:29 <module>"]
    assert events[7]["thread"] == "painter"


def test_native_output_becomes_lines() -> None:
    """Also that of a process that was forked meanwhile."""
    code = r"""
import os, warnings
warnings.simplefilter("ignore")  # since Python 3.12, fork beside a thread is warned of
from dragoman.cli.server.native_output import log_native_output
with log_native_output():
    os.write(2, b"thread panicked at \xff\n\nnote: run with a backtrace\n")
    logs.log.info("between")
    if not (child := os.fork()):
        os.write(2, b"child")
        os._exit(0)
    os.waitpid(child, 0)
os.write(2, b"{}\n")
"""
    events = [json.loads(line) for line in lines_of(code)]
    assert events.pop() == {}
    texts = [event["text"] for event in events if event["event"] == "stderr"]
    assert texts == ["thread panicked at \\xff", "note: run with a backtrace", "child"]
    assert "between" in [event["event"] for event in events]


def test_text_cannot_be_forged() -> None:
    code = r"""
logs.log.warning("odd\x1b[2J", address="1.2.3.4\n2026 [info] forged", name="", none=None, no=0)
try:
    {}["secret"]
except KeyError:
    logs.log.exception("bug", table={"a": "x", "long": "y\x9b"})
"""
    odd, bug, *rest = lines_of(code, "text")
    assert re.fullmatch(
        r"[\d-]{10} [\d:]{8} \[warning  \] odd\\u001b\[2J {13}"
        r"address='1\.2\.3\.4\\\\n2026 \[info\] forged' no=0",
        odd,
    )
    assert bug.endswith(" bug                      error=KeyError")
    assert rest == ["    <string>:6 <module>", "    a     x", "    long  y\\u009b"]


@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm"}, False),
    ],
    ids=itertools.count(),
)
def test_colours(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, variables: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(logs, "_descriptor", 1)
    monkeypatch.setattr(os, "isatty", lambda _: terminal)
    assert logs.uses_colours() is coloured


def test_a_closed_or_full_standard_error_stops_nothing() -> None:
    code = "import os, sys; os.close(2); logs.log.info('x'); sys.stderr = None; logs.log.info('x')"
    assert lines_of(f"{code}; os._exit(0)") == []
