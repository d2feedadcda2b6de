"""Programs out of Debian's packages, unpacked into a folder of our own.

Nothing is added to the system, and nobody's rights are needed. Where the packages come from is
asked of the machine's own apt; there is no other address.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

FETCH_S = 60
INDEXES = ("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def unpack(packages: tuple[str, ...], folder: Path, *, release: str = "") -> None:
    """Fetch packages and unpack them as ``folder``, whole or not at all.

    Args:
        packages: their names; what they depend on is not added.
        folder: what takes the place of their ``/``; one that is there is replaced.
        release: the release of Debian that they are of, if not the machine's own.

    Raises:
        OSError: there is no apt here, or the folder cannot be written.
        subprocess.SubprocessError: there is no such package, or no way to it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        run = functools.partial(
            subprocess.run, cwd=draft, check=True, capture_output=True, timeout=FETCH_S
        )
        lists = _own_lists(Path(draft), release)
        try:
            run(["apt-get", *(lists if release else ()), "download", *packages])
        except subprocess.CalledProcessError:  # lists that are missing or old: make some of our own
            run(["apt-get", *lists, "update"])
            run(["apt-get", *lists, "download", *packages])
        for package in Path(draft).glob("*.deb"):
            run(["dpkg", "-x", str(package), "unpacked"])
        shutil.rmtree(folder, ignore_errors=True)
        Path(draft, "unpacked").rename(folder)


def _own_lists(folder: Path, release: str) -> list[str]:
    """Return options that keep apt's lists in ``folder``, and are of one release if one is named."""
    (folder / "lists" / "partial").mkdir(parents=True)
    (folder / "archives" / "partial").mkdir(parents=True)
    places = {"State::lists": folder / "lists", "Cache": folder, "Cache::archives": "archives"}
    if release:
        sources = folder / "of-one-release.list"
        sources.write_text(f"deb [signed-by={KEYRING}] {_archive()} {release} main\n")
        places |= {"Etc::sourcelist": sources, "Etc::sourceparts": "/dev/null"}
    return [part for name, place in places.items() for part in ("-o", f"Dir::{name}={place}")]


def _archive() -> str:
    """Return where this machine has Debian's packages from: the first place that it names."""
    told = subprocess.run(INDEXES, check=True, capture_output=True, text=True, timeout=FETCH_S)
    places = [line.split()[0] for line in told.stdout.splitlines() if "debian" in line]
    if not places:
        raise FileNotFoundError("this machine's packages are not Debian's")
    return places[0]
