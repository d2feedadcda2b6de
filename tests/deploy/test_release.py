"""`make release`, in a clone: what it makes, what it refuses, and what it leaves after a failure."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from dragoman import __version__

ROOT = Path(__file__).parents[2]
VERSION = "7.8.9"


def git(checkout: Path, *words: str) -> str:
    names = ("-c", "user.name=Tests", "-c", "user.email=tests@example.com")
    command = ["git", *names, *words]
    return subprocess.run(
        command, check=True, cwd=checkout, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone with the files as they are here, committed or not."""
    path = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--shared", "--no-tags", str(ROOT), str(path))
    changes = subprocess.run(
        ["git", "diff", "--binary", "HEAD"], check=True, cwd=ROOT, capture_output=True
    ).stdout
    if changes:
        subprocess.run(["git", "apply", "--index"], check=True, cwd=path, input=changes)
        git(path, "commit", "--quiet", "--all", "--message", "tests: as it is")
    git(path, "config", "user.name", "Tests")
    git(path, "config", "user.email", "tests@example.com")
    return path


def release(
    checkout: Path, version: str = VERSION, check: str = "true"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "release.py"), version, "--check", check],
        check=False,
        cwd=checkout,
        capture_output=True,
        text=True,
    )


def test_a_release(checkout: Path) -> None:
    before = git(checkout, "rev-parse", "HEAD")
    done = release(checkout, check="git diff --quiet HEAD && exit 1; touch ../checked")
    assert done.returncode == 0, done.stderr
    assert (checkout.parent / "checked").exists()
    assert git(checkout, "log", "-1", "--format=%s") == f"release: version {VERSION}"
    assert git(checkout, "rev-parse", "HEAD^") == before
    assert git(checkout, "cat-file", "-t", f"v{VERSION}") == "tag"
    assert git(checkout, "rev-parse", f"v{VERSION}^{{}}") == git(checkout, "rev-parse", "HEAD")
    assert git(checkout, "status", "--porcelain") == ""
    today = dt.datetime.now(dt.UTC).date().isoformat()
    changelog = (checkout / "CHANGELOG.md").read_text()
    assert re.search(rf"## \[Unreleased\]\n\n## \[{VERSION}\] - {today}\n\n###? ", changelog)
    assert f"Nothing was pushed. To publish: git push origin main v{VERSION}" in done.stdout

    dist = checkout / "dist"
    wheel, sdist, bill, sums = (
        dist / f"dragoman-{VERSION}-py3-none-any.whl",
        dist / f"dragoman-{VERSION}.tar.gz",
        dist / f"dragoman-{VERSION}.cdx.json",
        dist / "SHA256SUMS",
    )
    assert set(dist.iterdir()) == {wheel, sdist, bill, sums}
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(check, check=True, cwd=dist)
    assert len(sums.read_text().splitlines()) == 3
    with zipfile.ZipFile(wheel) as opened:
        metadata = opened.read(f"dragoman-{VERSION}.dist-info/METADATA").decode()
        assert f"\nVersion: {VERSION}\n" in metadata
        assert f'"{VERSION}"' in opened.read("dragoman/__init__.py").decode()
    with tarfile.open(sdist) as opened:
        assert f"dragoman-{VERSION}/deploy/compose.yaml" in opened.getnames()

    found = json.loads(bill.read_text())
    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["version"] == VERSION
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", _lock(), re.MULTILINE))
    assert {each["name"]: each["version"] for each in found["components"]} == locked
    assert all(each["purl"].startswith("pkg:pypi/") for each in found["components"])

    again = release(checkout)
    assert "there is a tag" in again.stderr


def _lock() -> str:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_a_failure_leaves_the_checkout_as_it_was(checkout: Path) -> None:
    """Checks that fail, checks that change files, and a build that fails."""
    for check in (
        "false",
        "rm Makefile; echo x > new; git add new; false",
        "echo x >> Makefile",
        "",
    ):
        if not check:
            with (checkout / "pyproject.toml").open("a") as file:
                file.write("[")
            git(checkout, "commit", "--quiet", "--all", "--message", "tests: break the build")
        before = git(checkout, "rev-parse", "HEAD")
        done = release(checkout, check=check or "true")
        assert done.returncode == 1
        assert done.stderr.startswith("make release: ")
        assert git(checkout, "status", "--porcelain") == ""
        assert git(checkout, "rev-parse", "HEAD") == before
        assert git(checkout, "tag", "--list", "v*") == ""


def test_what_is_refused(checkout: Path) -> None:
    """Before anything is changed."""
    for version, reason in (("1.0", "not a version"), ("v1.0.0", "not"), ("0.0.1", "is older")):
        done = release(checkout, version)
        assert (done.returncode, reason in done.stderr) == (1, True), done.stderr
    (checkout / "left-over").touch()
    assert "not clean:\n?? left-over" in release(checkout).stderr
    (checkout / "left-over").unlink()
    text = (checkout / "CHANGELOG.md").read_text()
    head, _, _ = text.partition("## [Unreleased]\n")
    (checkout / "CHANGELOG.md").write_text(
        f"{head}## [Unreleased]\n\n## [0.0.9] - 2026-01-01\n\n- x\n"
    )
    git(checkout, "commit", "--quiet", "--all", "--message", "x")
    assert "says nothing below [Unreleased]" in release(checkout).stderr
    git(checkout, "checkout", "--quiet", "--detach")
    assert "not on a branch" in release(checkout).stderr
    assert git(checkout, "status", "--porcelain") == ""


def test_the_version_is_everywhere_the_same() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{__version__}"\n' in text
