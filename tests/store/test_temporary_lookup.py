"""The private table that joins two files."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dragoman.store import temporary_lookup
from dragoman.store.temporary_lookup import TemporaryLookup

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.lists(st.tuples(TEXTS, TEXTS)))
def test_finds_the_last_value_of_each_key(entries: list[tuple[str, str]]) -> None:
    lookup = TemporaryLookup(entries)
    assert {key: lookup.find(key) for key, _ in entries} == dict(entries)
    assert lookup.find("no such key") is None
    lookup.close()


def test_a_later_batch_replaces_an_earlier_one() -> None:
    count = temporary_lookup.BATCH + 10
    lookup = TemporaryLookup((f"{i % (count - 1)}", f"value {i}") for i in range(count))
    assert lookup.find("0") == f"value {count - 1}"
    assert lookup.find("1") == "value 1"
    lookup.close()


def test_lies_on_the_disk_without_a_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lookup = TemporaryLookup((f"key {i}", 1_000 * "x") for i in range(20_000))
    assert list(tmp_path.iterdir()) == []
    sizes = [
        link.stat().st_size
        for link in Path("/proc/self/fd").iterdir()
        if os.path.islink(link) and str(tmp_path) in os.readlink(link)
    ]
    # The pages are in the file, but for those in the cache: memory does not grow with the table.
    assert sizes
    assert sizes[0] > 20_000_000 - 2 * 1024 * temporary_lookup.CACHE_KIB
    assert lookup.find("key 19999") == 1_000 * "x"
    lookup.close()
