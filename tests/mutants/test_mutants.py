"""The mutants themselves: what is made of a module, and that a test which looks away is found."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutants.__main__ import TARGETS, report
from tests.mutants.operators import Mutant, mutants
from tests.mutants.patching import apply_mutant
from tests.mutants.runner import MutantResult, Target

TOY = '''\
"""A module that guards something."""

LIMIT = 10
TWICE = LIMIT * 2


def may(age: int, *, least: int = LIMIT) -> bool:
    """Say whether."""
    if age < 0:
        raise ValueError
    return age >= least and age != 13


def wait(times: int) -> int:
    while times > 0:
        times -= 1
    return times
'''
THOROUGH_TESTS = """\
import pytest, toy

def test_may():
    assert toy.may(10) and toy.may(14) and not toy.may(9) and not toy.may(13)
    assert toy.may(0, least=0)
    assert toy.TWICE == 20

def test_guard():
    for age in (-1, -5):
        with pytest.raises(ValueError):
            toy.may(age, least=-9)

def test_wait():
    assert toy.wait(3) == toy.wait(0) == 0
    assert toy.wait(-2) == -2
"""
WEAK_TESTS = "import toy\n\ndef test_it():\n    toy.may(11)\n    toy.wait(0)\n"


def labels(source: str) -> dict[str, Mutant]:
    return {mutant.label: mutant for mutant in mutants(source)}


class TestOperators:
    def test_every_guard_is_turned_round_left_out_and_always_asked(self):
        made = labels(TOY)
        for after in ("if age >= 0:", "if False:", "if True:"):
            assert f"may: `if age < 0:` → `{after}`" in made
        assert made["may: `if age < 0:` → `if age >= 0:`"].guard
        assert made["may: `if age < 0:` → `if False:`"].guard
        assert made["may: `raise ValueError` → `pass`"].guard

    @pytest.mark.parametrize(
        "one",
        [
            "LIMIT: `10` → `11`",
            "may: `age < 0` → `age <= 0`",
            "may: `age >= least and age != 13` → `age >= least or age != 13`",
            "may: `age >= least and age != 13` → `age >= least`",
            "may: `age >= least and age != 13` → `age != 13`",
            "may: `13` → `14`",
            "may: `return age >= least and age != 13` → `return None`",
            "wait: `while times > 0:` → `while False:`",
            "wait: `times -= 1` → `pass`",
        ],
    )
    def test_the_usual_mistakes_are_made(self, one: str):
        assert one in labels(TOY)

    def test_each_is_another_program_and_a_program(self):
        body = ast.parse(TOY).body
        made = mutants(TOY)
        texts = {(mutant.number, ast.dump(mutant.statement)) for mutant in made}
        assert len(texts) == len(made) == len(labels(TOY))
        for mutant in made:
            assert ast.dump(mutant.statement) != ast.dump(body[mutant.number])
            compile(ast.Module([mutant.statement], []), "toy", "exec")

    def test_what_does_not_run_is_left_alone(self):
        assert not any("whether" in text or "int" in text for text in labels(TOY))

    @pytest.mark.parametrize("target", TARGETS[2:], ids=lambda target: target.name)
    def test_every_guard_of_the_real_modules_is_among_them(self, target: Target):
        source = Path(__file__).parents[2] / "src" / f"{target.name.replace('.', '/')}.py"
        made = mutants(source.read_text())
        turned = {mutant.line for mutant in made if mutant.guard}
        tree = ast.parse(source.read_text())
        assert turned >= {node.lineno for node in ast.walk(tree) if isinstance(node, ast.If)}
        assert len(made) > 100


class TestGrafting:
    @pytest.fixture
    def toy_module(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        module = ModuleType("toy")
        module.__file__ = "toy.py"
        exec(TOY, vars(module))
        monkeypatch.setitem(sys.modules, "toy", module)
        return module

    def test_a_function_stays_itself(self, toy_module: ModuleType):
        held = toy_module.may
        assert held(13) is False
        apply_mutant(toy_module, TOY, labels(TOY)["may: `13` → `14`"])
        assert toy_module.may is held
        assert held(13) is True
        assert held(9) is False

    def test_what_follows_from_a_constant_follows(
        self, toy_module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        sources = {
            "toy_user": "from toy import LIMIT, may",
            "toy_stranger": "LIMIT = 10",  # the same object, but not imported
        }
        made: dict[str, ModuleType] = {}
        for name, source in sources.items():
            path = tmp_path / f"{name}.py"
            path.write_text(source)
            made[name] = ModuleType(name)
            made[name].__file__ = str(path)
            exec(source, vars(made[name]))
            monkeypatch.setitem(sys.modules, name, made[name])
        user, stranger = made.values()
        assert user.LIMIT is stranger.LIMIT
        apply_mutant(toy_module, TOY, labels(TOY)["LIMIT: `10` → `11`"])
        assert (toy_module.LIMIT, toy_module.TWICE, user.LIMIT) == (11, 22, 11)
        assert not user.may(10)
        assert stranger.LIMIT == 10


@pytest.fixture(scope="module")
def report_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the whole says of two modules that are alike, of which one has tests that look."""
    folder = tmp_path_factory.mktemp("toys")
    for name, tests in (("watched", THOROUGH_TESTS), ("unwatched", WEAK_TESTS)):
        (folder / f"{name}.py").write_text(TOY)
        (folder / f"test_{name}.py").write_text(tests.replace("toy", name))
    program = """
        import sys; sys.path[:0] = [sys.argv[1], "."]
        from tests.mutants import __main__ as main
        targets = [main.Target(name, (f"test_{name}.py",)) for name in ("watched", "unwatched")]
        forks, measured = main.run(targets, jobs=2, patience=1)
        print("unsound", forks.failing_tests)
        taken = {each: main.share(measured, each) for each in targets}
        print("ended", main.report(targets, forks.results, taken, page=""))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), Path(__file__).parents[2]],
        cwd=folder, capture_output=True, text=True, check=False, timeout=100,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert "unsound []" in done.stdout, done.stdout + done.stderr
    return done.stdout


class TestRun:
    def test_who_watches_notices_every_mistake(self, report_text: str):
        lines = [line for line in report_text.splitlines() if line.startswith("watched:")]
        assert lines == [], report_text
        (row,) = [line for line in report_text.splitlines() if line.startswith("| `watched`")]
        assert row.endswith("| 0 | 100.0 | 100.0 |")

    def test_who_looks_away_is_found_out(self, report_text: str):
        lines = [line for line in report_text.splitlines() if line.startswith("unwatched:")]
        found = "\n".join(lines)
        assert "a guard that nobody misses: may: `if age < 0:` → `if False:`" in found
        assert "survived: may: `13` → `14`" in found
        assert "noticed, less than 90 %" in found
        assert "% of the branches taken" in found
        assert "ended 1" in report_text


class TestReport:
    TARGET = Target("toy", ())

    def verdicts(self, survivors: int) -> list[MutantResult]:
        made = mutants(TOY)[:10]
        return [
            MutantResult(self.TARGET, mutant, "" if at < survivors else "a test")
            for at, mutant in enumerate(made)
        ]

    def test_a_survivor_has_to_stand_on_the_page(self, capsys: pytest.CaptureFixture[str]):
        verdicts = self.verdicts(1)
        told_ = verdicts[0].mutant.label
        assert report([self.TARGET], verdicts, {self.TARGET: 100.0}, page=f"- {told_}: why") == 0
        assert report([self.TARGET], verdicts, {self.TARGET: 100.0}, page="") == 1
        assert told_ in capsys.readouterr().out

    def test_nine_in_ten_are_needed_whatever_the_page_says(self):
        verdicts = self.verdicts(2)
        page = "\n".join(f"- {each.mutant.label}: why" for each in verdicts)
        assert report([self.TARGET], verdicts, {self.TARGET: 100.0}, page) == 1

    def test_every_branch_is_needed(self):
        assert report([self.TARGET], self.verdicts(0), {self.TARGET: 100.0}, "") == 0
        assert report([self.TARGET], self.verdicts(0), {self.TARGET: 99.9}, "") == 1
