"""A pytest session that never ends: it runs everything once, then once more in a fork per mutant.

What takes its time (imports, collecting, the template of a database) is done before the forks.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import coverage
import pytest

from tests.mutants.operators import Mutant, mutants
from tests.mutants.patching import apply_mutant

PATIENCE_S = 10.0
"""How long a test may take, besides twenty times what it takes without a mutant."""


class Target(NamedTuple):
    """A module by its whole name, and the files of tests that are there for it."""

    name: str
    tests: tuple[str, ...]

    @property
    def module(self) -> ModuleType:
        """It, as the tests import it."""
        return sys.modules[self.name]

    @property
    def file(self) -> str:
        """Where it is written."""
        return str(self.module.__file__)


class MutantResult(NamedTuple):
    """What became of a mutant: the test that fell over it (``hung`` before it), or none."""

    target: Target
    mutant: Mutant
    failing_test: str
    timed_out: bool = False


class MutantRunner:
    """The plugin: ``verdicts`` and ``unsound`` (tests that fail by themselves) are the result."""

    def __init__(
        self,
        targets: list[Target],
        measured: coverage.Coverage,
        *,
        jobs: int,
        left_out: frozenset[str] = frozenset(),
        only: str = "",
        database: str = "sqlite",
        patience: float = PATIENCE_S,
    ) -> None:
        self.results: list[MutantResult] = []
        self.failing_tests: list[str] = []
        self._targets = targets
        self._measured = measured
        self._jobs = jobs
        self._left_out = left_out
        self._patience = patience
        self._only = only
        self._database = database
        self._took: dict[str, float] = {}
        self._items: dict[str, pytest.Item] = {}
        self._notes = Path()
        self._sources: dict[Target, str] = {}
        self._failed = ""
        self._recent: list[str] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        """Let Hypothesis find the same every time, and not search for the simplest example."""
        if not config.pluginmanager.hasplugin("hypothesispytest"):
            return
        from hypothesis import Phase, settings

        phases = [Phase.explicit, Phase.generate]
        settings.register_profile(
            "mutants", database=None, derandomize=True, deadline=None, phases=phases
        )
        settings.load_profile("mutants")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed:
            self._failed = report.nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's own loop."""
        items = [item for item in session.items if not self._is_left_out(item)]
        self._items = {item.nodeid: item for item in items}
        for name, item in self._items.items():
            self._measured.switch_context(name)
            began = time.monotonic()
            if self._run(item):
                self.failing_tests.append(name)
            self._took[name] = time.monotonic() - began
        self._measured.stop()
        if self.failing_tests:
            return True
        gc.collect()
        gc.freeze()
        with tempfile.TemporaryDirectory() as notes:
            self._notes = Path(notes)
            self._mutants()
        return True

    def _mutants(self) -> None:
        waiting = self._run_baseline()
        running: dict[int, tuple[MutantResult, Path]] = {}
        while True:
            while len(running) < self._jobs and (found := next(waiting, None)) is not None:
                target, mutant, chosen = found
                pid, note = self._fork(target, mutant, chosen)
                running[pid] = (MutantResult(target, mutant, ""), note)
            if not running:
                return
            pid, status = os.wait()
            verdict, note = running.pop(pid)
            killer = note.read_text() if status else ""
            note.unlink(missing_ok=True)
            if killer in self._items:
                self._recent = [killer, *(each for each in self._recent if each != killer)]
            hung = os.WIFSIGNALED(status)
            self.results.append(verdict._replace(failing_test=killer, timed_out=hung))
            self._report_progress(self.results[-1])

    def _run_baseline(self) -> Iterator[tuple[Target, Mutant, list[str]]]:
        data = self._measured.get_data()
        for target in self._targets:
            source = self._sources[target] = Path(target.file).read_text()
            mine = [name for name in self._items if name.startswith(target.tests)]
            ran = data.contexts_by_lineno(target.file)
            for mutant in mutants(source):
                if not re.search(self._only, mutant.label):
                    continue
                felt = {name for line in mutant.lines for name in ran.get(line, ())}
                chosen = [name for name in mine if name in felt or not mutant.lines]
                yield target, mutant, self._likely_first(chosen)

    def _likely_first(self, chosen: list[str]) -> list[str]:
        """Who killed a mutant lately comes first, then who is quick."""
        recent = {name: at for at, name in enumerate(self._recent[:20])}
        return sorted(chosen, key=lambda name: (recent.get(name, 99), self._took[name]))

    def _fork(self, target: Target, mutant: Mutant, chosen: list[str]) -> tuple[int, Path]:
        note = self._notes / str(time.monotonic_ns())
        note.write_text("the import")
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                self._run_as_mutant(target, mutant, chosen, note)
            os._exit(1)
        return pid, note

    def _run_as_mutant(self, target: Target, mutant: Mutant, chosen: list[str], note: Path) -> None:
        """Be the mutant until a test falls over it; ends with status 0 where none does."""
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        signal.setitimer(signal.ITIMER_REAL, self._patience)  # whose signal ends the process
        apply_mutant(target.module, self._sources[target], mutant)
        self._failed = ""
        for name in chosen:
            note.write_text(name)
            signal.setitimer(signal.ITIMER_REAL, self._patience + 20 * self._took[name])
            if self._run(self._items[name]):
                os._exit(1)
        os._exit(0)

    def _run(self, item: pytest.Item) -> bool:
        """Run one test with all that it needs, keeping only what is the whole session's."""
        self._failed = ""
        nextitem: Any = item.session
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        return bool(self._failed)

    def _is_left_out(self, item: pytest.Item) -> bool:
        other = "sqlite" if self._database == "postgresql" else "postgresql"
        return item.get_closest_marker(other) is not None or any(
            part in item.nodeid for part in self._left_out
        )

    def _report_progress(self, verdict: MutantResult) -> None:
        """Say how it stands, on the terminal's last line or every hundred mutants."""
        if verdict.failing_test and len(self.results) % 100:
            return
        fate = "hung" if verdict.timed_out else "killed" if verdict.failing_test else "SURVIVED"
        mutant = verdict.mutant
        place = f"{verdict.target.name}:{mutant.line}"
        print(f"{len(self.results)} {fate} {place} {mutant.label}", file=sys.stderr, flush=True)
