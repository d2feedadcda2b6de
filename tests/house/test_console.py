"""The console's house: screens and templates, what its security policy forbids, vendored files."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from dragoman.console import messages, navigation, screens, static_files
from dragoman.rules.errors import PROBLEM_CODES

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "src" / "dragoman" / "console"
TEMPLATES = sorted((CONSOLE / "templates").glob("*.html"))
SHARED_TEMPLATES = {"base", "alone", "error", "proof", "session_ended"}
"""Templates of no single screen."""
FORBIDDEN = {
    "hx-on": re.compile(r"\bhx-on\b|\bhx-on[:-]"),
    "hx-live": re.compile(r"\bhx-live\b"),
    "js: values": re.compile(r"""=["']?\s*(js|javascript):"""),
    "trigger filters": re.compile(r"""hx-trigger=["'][^"']*\["""),
    "inline handlers": re.compile(r"\son[a-z]+="),
    "inline styles": re.compile(r"\sstyle=|<style"),
    "inline scripts": re.compile(r"<script(?![^>]*\bsrc=)"),
    "addresses elsewhere": re.compile(r"""(?:src|href|action)=["']https?:"""),
}
"""What is dead under the console's Content-Security-Policy, without a word in the page."""
MAX_SCRIPT_LINES = 200


def test_one_screen_is_one_module_and_one_template() -> None:
    modules = {path.stem for path in (CONSOLE / "screens").glob("*.py")} - {"__init__"}
    templates = {path.stem for path in TEMPLATES if not path.stem.startswith("_")}
    assert modules == set(screens.NAMES)
    assert modules <= templates
    others = templates - modules - SHARED_TEMPLATES
    assert all(any(name.startswith(f"{module}_") for module in modules) for name in others), others


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_templates_have_nothing_that_the_policy_forbids(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    for what, pattern in FORBIDDEN.items():
        assert not pattern.search(text), f"{template.name}: {what}"


def test_vendored_files_are_those_of_the_notice() -> None:
    body = (CONSOLE / "static" / "htmx.min.js").read_bytes()
    assert hashlib.sha256(body).hexdigest() in (ROOT / "NOTICE").read_text(encoding="utf-8")


def test_our_own_script_is_short() -> None:
    text = (CONSOLE / "static" / "console.js").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_SCRIPT_LINES


def test_static_files_of_a_first_page_are_small() -> None:
    assert sum(len(file.compressed) for file in static_files.files().values()) < 60_000


def test_every_problem_has_a_message() -> None:
    assert messages.MESSAGES.keys() >= PROBLEM_CODES


def test_navigation_has_distinct_paths() -> None:
    paths = [entry.path for entry in navigation.ENTRIES]
    assert len(set(paths)) == len(paths)
