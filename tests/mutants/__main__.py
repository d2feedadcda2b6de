"""`make mutants`: which mistakes in the modules that guard the rest would no test notice?"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import coverage
import pytest

from tests.mutants.runner import MutantResult, MutantRunner, Target

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mutants.md"
LEAST = 90
"""Per cent of a module's mutants that the tests have to notice."""

RULES, ACTIONS = "tests/rules/test_", "tests/actions/test_"
TARGETS = [
    Target("dragoman.rules.policy", (f"{RULES}policy.py", "tests/house/test_policy.py")),
    Target("dragoman.rules.fields", (f"{RULES}fields.py",)),
    Target("dragoman.rules.crypto", (f"{RULES}crypto.py",)),
    Target(
        "dragoman.actions.sign_in",
        (
            f"{ACTIONS}sign_in.py",
            f"{ACTIONS}sign_in_effects.py",
            f"{ACTIONS}change_password.py",
            f"{ACTIONS}revocation.py",
        ),
    ),
    Target(
        "dragoman.actions.invitations",
        (
            f"{ACTIONS}invitations.py",
            f"{ACTIONS}invitation_effects.py",
            "tests/jobs/mail/test_invitation_mail.py",
            f"{ACTIONS}revocation.py",
        ),
    ),
]
LEFT_OUT = frozenset(
    {
        "test_no_hash_costs_as_much_as_one",  # measures time
        "test_reads_go_on_while_it_works",  # measures time
        "test_no_dns_library_is_imported",  # another process, in which there is no mutant
    }
)


def main() -> int:
    """Run the mutants and say what came of them; 0 where all is as it should be."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="of modules, such as policy; all by default")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="a pattern in what is told of a mutant")
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    given = parser.parse_args()
    targets = [
        each for each in TARGETS if not given.names or each.name.split(".")[-1] in given.names
    ]
    database = "postgresql" if given.postgresql else "sqlite"
    forks, measured = run(targets, jobs=given.jobs, only=given.only, database=database)
    if forks.failing_tests:
        print("these fail without any mutant:", *forks.failing_tests, sep="\n  ")
        return 2
    page = PAGE.read_text() if PAGE.exists() else ""
    return report(targets, forks.results, {each: share(measured, each) for each in targets}, page)


def run(targets: list[Target], **more: Any) -> tuple[MutantRunner, coverage.Coverage]:
    """Run the tests of some modules, and those that would notice a mutant on each mutant."""
    names = [target.name for target in targets]
    measured = coverage.Coverage(
        data_file=None, branch=True, source_pkgs=names, config_file=False, messages=False
    )
    forks = MutantRunner(targets, measured, left_out=LEFT_OUT, **more)
    files = sorted({name for target in targets for name in target.tests})
    measured.start()
    ended = pytest.main(["-q", "-s", "-p", "no:xdist", "-p", "no:cacheprovider", *files], [forks])
    if ended and not forks.failing_tests:
        raise SystemExit(f"the tests did not come to run: {ended!r}")
    return forks, measured


def share(measured: coverage.Coverage, target: Target) -> float:
    """Return how many per cent of a module's lines and branches the tests take."""
    return float(measured._analyze(target.file).numbers.pc_covered)


def report(
    targets: Iterable[Target], verdicts: list[MutantResult], taken: dict[Target, float], page: str
) -> int:
    """Print the figures of each module, and every survivor that the page does not account for."""
    faults: list[str] = []
    print("\n| module | mutants | killed | hung | survived | noticed, % | branches, % |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for target in targets:
        mine = [each for each in verdicts if each.target == target]
        alive = [each.mutant for each in mine if not each.failing_test]
        hung = sum(each.timed_out for each in mine)
        score = 100 * (len(mine) - len(alive)) / max(1, len(mine))
        print(
            f"| `{target.name}` | {len(mine)} | {len(mine) - len(alive) - hung} | {hung} "
            f"| {len(alive)} | {score:.1f} | {taken[target]:.1f} |"
        )
        if score < LEAST:
            faults.append(f"{target.name}: {score:.1f} % noticed, less than {LEAST} %")
        if taken[target] < 100:
            faults.append(f"{target.name}: {taken[target]:.1f} % of the branches taken")
        for mutant in alive:
            if f"- {mutant.label}: " not in page:
                word = "a guard that nobody misses" if mutant.guard else "survived"
                faults.append(f"{target.name}:{mutant.line} {word}: {mutant.label}")
    print("", *faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
