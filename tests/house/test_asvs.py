"""``docs/asvs.md`` and ``SECURITY.md`` keep their word: every claim has a test that is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest

from dragoman import dialects

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "asvs.md"
SECURITY = ROOT / "SECURITY.md"

# OWASP ASVS 5.0.0, from the table of the standard itself: by section, the level of each number.
# Chapters 5 (files), 10 (OAuth) and 17 (WebRTC) have one line each and no rows.
LEVELS = {
    "1.1": "22", "1.2": "1111122223", "1.3": "112222222223", "1.4": "222", "1.5": "123",
    "2.1": "122", "2.2": "112", "2.3": "12223", "2.4": "23",
    "3.1": "3", "3.2": "113", "3.3": "12223", "3.4": "11222233", "3.5": "11122333", "3.6": "3",
    "3.7": "22333",
    "4.1": "12233", "4.2": "23333", "4.3": "22", "4.4": "1222",
    "6.1": "122", "6.2": "111111112222", "6.3": "11223333", "6.4": "112233", "6.5": "22222333",
    "6.6": "2223", "6.7": "33", "6.8": "2222",
    "7.1": "222", "7.2": "1111", "7.3": "22", "7.4": "11222", "7.5": "223", "7.6": "22",
    "8.1": "1233", "8.2": "1123", "8.3": "133", "8.4": "23",
    "9.1": "111", "9.2": "1222",
    "11.1": "2233", "11.2": "22233", "11.3": "11233", "11.4": "1222", "11.5": "23", "11.6": "23",
    "11.7": "33",
    "12.1": "12233", "12.2": "11", "12.3": "22223",
    "13.1": "2333", "13.2": "222223", "13.3": "2233", "13.4": "1222233",
    "14.1": "22", "14.2": "12223333", "14.3": "122",
    "15.1": "12233", "15.2": "12233", "15.3": "1222222", "15.4": "3333",
    "16.1": "2", "16.2": "22222", "16.3": "2222", "16.4": "222", "16.5": "2223",
}  # fmt: skip
LEFT_OUT = ("V5", "V10", "V17")
WRITTEN = {"2.1", "6.1", "7.1", "8.1", "11.1", "13.1", "14.1", "15.1", "16.1"}
"""Sections that ask for documents: a link may show them. Everything else takes a test."""
CONTRACTS = {"accounts", "binacle", "vsay", "wekan", "wiwebb"}
"""Those that the pages speak of."""
VERDICTS = ("met", "partly", "not met", "operator", "n/a")

_REFERENCE = re.compile(r"`((?:\w+/)*test_\w+\.py::[\w:]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
_NUMBER = re.compile(r"[1-9]\d*\.[1-9]\d*\.[1-9]\d*")


class Row(msgspec.Struct, frozen=True):
    """One requirement on the page."""

    number: str
    level: str
    requirement: str
    verdict: str
    evidence: str

    @property
    def section(self) -> str:
        """The section that it is in."""
        return self.number.rpartition(".")[0]

    @property
    def reason(self) -> str:
        """What is said beside the tests and links."""
        bare = re.sub(r"\[[^\]]*\]\([^)]*\)", "", _REFERENCE.sub("", self.evidence))
        return bare.strip(" ,;.")


def rows_of(text: str) -> list[Row]:
    """Return the requirements on the page: lines of a table that begin with digits."""
    lines = [line.strip(" |").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [Row(*map(str.strip, cells)) for cells in lines if cells[0][0].isdigit()]


def wanted() -> dict[str, str]:
    """Return every number of level 1 or 2 in the chapters that are claimed, and its level."""
    numbered = (
        (f"{section}.{place}", level)
        for section, levels in LEVELS.items()
        for place, level in enumerate(levels, 1)
    )
    return {number: level for number, level in numbered if level in "12"}


@cache
def collected() -> frozenset[str]:
    """Return every test that there is, ``path::name`` or ``path::Class::name``, by its source."""
    return frozenset(
        f"{path.relative_to(TESTS).as_posix()}::{name}"
        for path in TESTS.rglob("test_*.py")
        for name in _named(ast.parse(path.read_text(encoding="utf-8")))
    )


def _named(node: ast.Module | ast.ClassDef, before: str = "") -> Iterator[str]:
    for each in node.body:
        if isinstance(each, ast.ClassDef) and each.name.startswith("Test"):
            yield from _named(each, f"{before}{each.name}::")
        elif isinstance(each, _FUNCTION) and each.name.startswith("test_"):
            yield before + each.name


def missing_references(text: str, at: Path) -> list[str]:
    """Return what a page at this place names that is not there: tests, and files that it links.

    Whoever takes a contract away takes its tests away, and need not change a page.
    """
    tests = [each for each in _REFERENCE.findall(text) if each not in collected()]
    odd = [each for each in re.findall(r"`[^`]*test_[^`]*`", text) if not _REFERENCE.match(each)]
    links = [each for each in _LINK.findall(text) if "://" not in each]
    links = [each for each in links if not (at.parent / each).exists()]
    return [each for each in (*tests, *odd, *links) if not _is_deleted(each)]


def _is_deleted(name: str) -> bool:
    found = re.search(r"\bdialects/(\w+)/", name)
    return found is not None and found[1] in CONTRACTS - {*dialects.NAMES}


def page_problems(text: str) -> Iterator[str]:
    """Yield everything that is wrong with the page of requirements."""
    rows, all_of_them = rows_of(text), wanted()
    for row in rows:
        if not _NUMBER.fullmatch(row.number) or all_of_them.get(row.number) != row.level:
            yield f"{row.number}: no such requirement of level {row.level}"
        if row.verdict not in VERDICTS:
            yield f"{row.number}: {row.verdict!r} is no verdict"
        shows = _REFERENCE.search(row.evidence)
        if row.section in WRITTEN:
            shows = shows or _LINK.search(row.evidence)
        if row.verdict == "met" and not shows:
            yield f"{row.number}: met, and nothing shows it"
        if row.verdict != "met" and len(row.reason.split()) < 3:
            yield f"{row.number}: {row.verdict}, and no reason"
        if len(row.requirement.split()) < 3:
            yield f"{row.number}: nothing says what it asks for"
    told = [row.number for row in rows]
    yield from (f"{number}: not there" for number in all_of_them if number not in told)
    if told != sorted(set(told), key=lambda number: [int(part) for part in number.split(".")]):
        yield "twice, or not in their order"
    yield from (f"{name}: no line why" for name in LEFT_OUT if f"\n- **{name}** " not in text)
    counts = Counter((row.verdict, row.level) for row in rows)
    for verdict in VERDICTS:
        told_so = f"\n| {verdict} | {counts[verdict, '1']} | {counts[verdict, '2']} |\n"
        if told_so not in text:
            yield f"the sum is another: {told_so.strip()}"
    yield from missing_references(text, PAGE)


def promises_of(text: str) -> list[str]:
    """Return the promises in SECURITY.md, each with the lines below it."""
    part = text.partition("\n## What Dragoman promises\n")[2].partition("\n## ")[0]
    return re.split(r"\n- ", part)[1:]


def unproven_promises(text: str) -> list[str]:
    """Return the promises that name no test."""
    return [each for each in promises_of(text) if not _REFERENCE.search(each)]


def test_every_requirement_has_a_verdict_and_every_test_is_there() -> None:
    assert list(page_problems(PAGE.read_text(encoding="utf-8"))) == []


@pytest.fixture
def security_page() -> str:
    """What ``SECURITY.md`` says."""
    if not SECURITY.exists():
        pytest.skip("an unpacked archive, or a part of a checkout")
    return SECURITY.read_text(encoding="utf-8")


def test_every_promise_has_a_test_that_is_there(security_page: str) -> None:
    assert len(promises_of(security_page)) > 12
    assert unproven_promises(security_page) == []
    assert missing_references(security_page, SECURITY) == []


PAGE_CORRUPTIONS = {
    "a requirement that is missing": (r"\| 6\.2\.3 \|.*\n", "", "6.2.3: not there"),
    "one twice": (r"(\| 6\.2\.3 \|.*\n)", r"\1\1", "twice"),
    "one of another level": (r"\| 6\.2\.3 \| 1 \|", "| 6.2.3 | 2 |", "no such requirement"),
    "one that is not in the standard": (r"\| 1\.1\.1 \|", "| 1.1.9 |", "no such requirement"),
    "no verdict": (r"\| met \| `", "| fine | `", "is no verdict"),
    "nothing that shows it": (r"\| met \| `[^|]*\|", "| met | surely it is |", "nothing shows it"),
    "a link instead of a test": (
        r"(\| 8\.2\.1 \|.*\| met \|)[^|]*\|", r"\1 [policy.md](policy.md) |", "nothing shows it"
    ),
    "no reason": (r"(\| 6\.1\.2 \|.*\| not met \|)[^|]*\|", r"\1 no |", "and no reason"),
    "a test that is not there": (r"::test_no_privileged_name_gets_through`", "::test_none`", "::test_none"),
    "a test of another file": (r"`authorization/test_mass_assignment\.py", "`authorization/test_mass_assignments.py", "test_mass_assignments.py"),
    "a test without its class": (r"`[\w/]+\.py::Test\w+::", "`rules/test_policy.py::", "rules/test_policy.py::"),
    "a test of no contract": (r"`dialects/vsay/", "`dialects/visay/", "dialects/visay/"),
    "a page that is not there": (r"\]\(policy\.md", "](police.md", "police.md"),
    "a sum that is wrong": (r"\n\| met \| \d+", "\n| met | 1", "the sum is another"),
    "a chapter without a word": (r"\n- \*\*V10\*\* ", "\n- V10 ", "V10: no line why"),
}  # fmt: skip


@pytest.mark.parametrize("what", PAGE_CORRUPTIONS)
def test_whatever_is_bent_is_seen(what: str) -> None:
    before, after, told = PAGE_CORRUPTIONS[what]
    text = PAGE.read_text(encoding="utf-8")
    bent, number = re.subn(before, after, text, count=1)
    assert number == 1
    assert bent != text
    assert any(told in fault for fault in page_problems(bent)), list(page_problems(bent))


def test_a_promise_without_a_test_is_seen(security_page: str) -> None:
    bare = security_page.replace("\n## What it does not", "\n- All is well.\n\n## What it does not")
    assert [each.strip() for each in unproven_promises(bare)] == ["All is well."]
