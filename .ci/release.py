"""Make a release: version, changelog, tag, wheel, sdist, bill of materials, check sums.

    release.py VERSION [--check COMMAND]

Nothing is pushed. If a step fails, the checkout is as it was before.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path.cwd()
DIST = ROOT / "dist"
CHANGELOG = ROOT / "CHANGELOG.md"
UNRELEASED = "## [Unreleased]\n"
PLACES = (
    ("src/dragoman/__init__.py", '__version__ = "{}"\n'),
    ("pyproject.toml", '\nversion = "{}"\n'),
    ("deploy/compose.yaml", "VERSION: {}\n"),
    ("deploy/compose.yaml", "image: dragoman:{}\n"),
    ("deploy/kubernetes/kustomization.yaml", "newTag: {}\n"),
    ("docs/operations.md", "--build-arg VERSION={} "),
    ("docs/operations.md", "--tag dragoman:{} "),
)
"""The files that contain the version, and the text around it."""


class ReleaseError(Exception):
    """Says why there is no release."""


def main(arguments: list[str]) -> int:
    """Make a release; return the exit status."""
    parser = argparse.ArgumentParser(prog="make release")
    parser.add_argument("version", metavar="VERSION=x.y.z")
    parser.add_argument("--check", default=".ci/run", help="what has to pass (default: .ci/run)")
    options = parser.parse_args(arguments)
    version: str = options.version
    try:
        _check_preconditions(version)
        start = _git("rev-parse", "HEAD")
        try:
            _set_version(version)
            _date_changelog(version)
            _git("add", "--update")
            if subprocess.run(options.check, shell=True, check=False).returncode:  # noqa: S602
                raise ReleaseError(f"{options.check} failed")
            if changes := _git("diff") or _git("ls-files", "--others", "--exclude-standard"):
                raise ReleaseError(f"{options.check} changed files:\n{changes}")
            _git("commit", "--quiet", "--message", f"release: version {version}")
            artefacts = _build(version)
            _git("tag", "--annotate", f"v{version}", "--message", f"Dragoman {version}")
        except BaseException:
            _git("reset", "--quiet", "--hard", start)
            raise
    except ReleaseError as error:
        print(f"make release: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"make release: {error}\n{error.stderr or ''}", file=sys.stderr)
        return 1
    for path in artefacts:
        print(path.relative_to(ROOT))
    branch = _git("branch", "--show-current")
    print(f"Nothing was pushed. To publish: git push origin {branch} v{version}")
    return 0


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], check=True, cwd=ROOT, capture_output=True, text=True)  # noqa: S607
    return done.stdout.strip()


def _current_version() -> str:
    text = (ROOT / "src/dragoman/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    assert found
    return found[1]


def _check_preconditions(version: str) -> None:
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version):
        raise ReleaseError(f"{version!r} is not a version: make release VERSION=1.2.3")
    current = _current_version()
    if tuple(map(int, version.split("."))) < tuple(map(int, current.split("."))):
        raise ReleaseError(f"{version} is older than this version, {current}")
    if _git("tag", "--list", f"v{version}"):
        raise ReleaseError(f"there is a tag v{version} already")
    if not _git("branch", "--show-current"):
        raise ReleaseError("HEAD is not on a branch")
    if changes := _git("status", "--porcelain"):
        raise ReleaseError(f"the checkout is not clean:\n{changes}")
    _, heading, rest = CHANGELOG.read_text(encoding="utf-8").partition(UNRELEASED)
    if not heading or not re.search(r"^- ", rest.partition("\n## ")[0], re.MULTILINE):
        raise ReleaseError("CHANGELOG.md says nothing below [Unreleased]")


def _set_version(version: str) -> None:
    current = _current_version()
    for name, text in PLACES:
        path = ROOT / name
        content = path.read_text(encoding="utf-8")
        if content.count(text.format(current)) != 1:
            raise ReleaseError(f"{name}: expected {text.format(current).strip()!r} once")
        path.write_text(content.replace(text.format(current), text.format(version)), "utf-8")


def _date_changelog(version: str) -> None:
    today = dt.datetime.now(dt.UTC).date().isoformat()
    text = CHANGELOG.read_text(encoding="utf-8")
    heading = f"{UNRELEASED}\n## [{version}] - {today}\n"
    CHANGELOG.write_text(text.replace(UNRELEASED, heading, 1), "utf-8")


def _build(version: str) -> list[Path]:
    """Build from a checkout of the commit, so that nothing else can get in; return the files."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct")}
    bill = DIST / f"dragoman-{version}.cdx.json"
    commands = (
        ["hatchling", "build", "--directory", str(DIST)],
        ["cyclonedx_py", "requirements", "--pyproject", "pyproject.toml", "--short-PURLs",
         "--output-reproducible", "--no-validate", "--output-file", str(bill), "requirements.lock"],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "dragoman"
        _git("clone", "--quiet", "--shared", str(ROOT), str(checkout))
        for command in commands:
            subprocess.run(
                [sys.executable, "-m", *command],
                check=True,
                cwd=checkout,
                env=environment,
                capture_output=True,
                text=True,
            )
    built = sorted(DIST.iterdir())
    sums = DIST / "SHA256SUMS"
    lines = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in built]
    sums.write_text("".join(lines))
    return [*built, sums]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
