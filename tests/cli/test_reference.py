"""The reference in ``docs/cli.md`` and the pages for man say what ``--help`` says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dragoman.cli import reference
from dragoman.cli.main import main
from tests.support.terminal import Terminal

ROOT = Path(__file__).parents[2]
PAGES = list(reference.pages(main))


def test_the_page_is_fresh() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == reference.markdown(main), "run 'make docs'"
    anchors = {title.replace(" ", "-") for title in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}
    assert set(re.findall(r"\(#([\w-]+)\)", page)) <= anchors


@pytest.mark.parametrize("name", ["users create", "import", "outbox", "completion"])
def test_it_says_what_help_says(sqlite_terminal: Terminal, name: str) -> None:
    """All words of the options and of the text; the help is in boxes and wrapped."""
    shown = sqlite_terminal.run(*name.split(), "--help", COLUMNS="200", TERM="dumb").stdout
    (page,) = (each for each in PAGES if each.name == f"dragoman {name}")
    told = " ".join([*page.paragraphs, *(" ".join(each) for each in page.options)])
    told += " " + " ".join(" ".join(each) for each in page.commands)

    def words(text: str) -> set[str]:
        return set(re.findall(r"[\w-]{3,}", text))

    boxes = {"Usage", "Options", "Commands", "Arguments", "ARGS", "COMMAND", "required"}
    boxes |= {"OPTIONS", "The", "file", "people", "run", "ID", "SLUG", "range"}
    missing = words(shown) - words(told) - boxes - set(page.name.split())
    assert missing == set()


def test_pages_of_all_commands_for_man(sqlite_terminal: Terminal, tmp_path: Path) -> None:
    result = sqlite_terminal.run("man", "--dir", str(tmp_path))
    assert result.exit_code == 0
    files = sorted(tmp_path.iterdir())
    assert len(files) == len(PAGES)
    printed = sqlite_terminal.run("man", "users", "create").stdout
    assert printed == (tmp_path / "dragoman-users-create.1").read_text()
    assert printed.isascii()
    _lint(files)


def _lint(files: list[Path]) -> None:
    """Ask groff and mandoc, where they are, what is wrong with the pages."""
    if shutil.which("groff"):
        command = ["groff", "-man", "-ww", "-Tutf8", "-z", *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    if shutil.which("mandoc"):
        command = ["mandoc", "-Tlint", "-W", "warning", *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if "missing date" not in line]
        assert lines == []


def test_text_that_roff_would_take_for_requests() -> None:
    page = reference.Page(
        name="dragoman x",
        usage="[OPTIONS] 'A'",
        summary=".TH \\fB",
        paragraphs=("'br is none", "\b\n.in 4\n  …\\n"),
        options=(("--a-b", ".x"),),
        commands=(),
    )
    lines = reference.roff(page).splitlines()
    requests = {line.split()[0] for line in lines if line.startswith((".", "'"))}
    assert requests == {".TH", ".SH", ".nf", ".fi", ".PP", ".TP"}
    assert r"\&.in 4" in lines
    assert r"  \[u2026]\(rsn" in lines
    assert r"\fB\-\-a\-b\fR" in lines


def test_usage_of_man(sqlite_terminal: Terminal, tmp_path: Path) -> None:
    sqlite_terminal.run("man", "users", "nix").assert_refused(2, "no such command: dragoman users")
    sqlite_terminal.run("man", "users", "--dir", str(tmp_path)).assert_refused(2, "--dir")
    sqlite_terminal.run("man", "--dir", str(tmp_path / "none")).assert_refused(2, "does not exist")
