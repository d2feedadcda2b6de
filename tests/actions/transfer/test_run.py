"""A whole import: the check pass, the write pass, refused rows, and going on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dragoman.actions.directory import Directory
from dragoman.actions.transfer import run, runs, translate, writing
from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.recipes.recipe import Context
from dragoman.actions.transfer.records import (
    FileOptions,
    FileProblem,
    ImportOptions,
    Record,
    RowProblem,
    Tally,
)
from dragoman.actions.transfer.run import Reporter, RunOptions, Summary
from dragoman.actions.transfer.runs import FIRST_CHUNK_ROWS
from dragoman.store import users
from dragoman.store.transaction import now
from dragoman.store.user_lists import counters
from tests.support.people import SYSTEM_ACTOR

pytestmark = pytest.mark.anyio

GOOD = "ann,ann@example.com\nbob,bob@example.com\ncid,cid@example.com\n"
BAD = "ann,ann@example.com\nbob,no address\ncid,cid@example.com\nANN,other@example.com\n"


class Told(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.refused: list[tuple[int, str]] = []
        self.positions: list[int] = []

    def begin(self, phase: str, size: int) -> None:
        self.phases.append(phase)

    def resume(self, record: int, line: int) -> None:
        self.refused = [refused for refused in self.refused if refused[0] <= line]

    def advance(self, position: int, tally: Tally) -> None:
        self.positions.append(position)

    def refuse(self, record: Record, problems: Sequence[RowProblem]) -> None:
        self.refused += [(problem.line, problem.code) for problem in problems]


def write_csv(folder: Path, text: str) -> Path:
    path = folder / "people.csv"
    path.write_text(f"username,email\n{text}")
    return path


async def import_file(
    directory: Directory,
    path: Path,
    told: Told | None = None,
    options: ImportOptions | None = None,
    **how: Any,
) -> Summary:
    source = open_records(path, FileOptions())
    options = options or ImportOptions()
    choice = translate.choose(
        source, FileOptions(), options, aliases={}, context=lambda _: Context(now=now())
    )
    run_options = RunOptions(
        source_name=path.name, digest=hashlib.sha256(path.read_bytes()).hexdigest(), **how
    )
    return await run.run(
        directory, SYSTEM_ACTOR, source, choice.translate, options, run_options, told or Told()
    )


async def names(directory: Directory) -> set[str]:
    read = directory.read(SYSTEM_ACTOR)
    found = [await users.find_by_login_name(read, name) for name in ("ann", "bob", "cid")]
    return {user.username for user in found if user}


async def test_a_good_file_is_checked_and_then_written(
    directory: Directory, tmp_path: Path
) -> None:
    told, path = Told(), write_csv(tmp_path, GOOD)
    dry = await import_file(directory, path, dry_run=True)
    assert (dry.import_id, dry.tally.created, await names(directory)) == ("", 3, set())
    summary = await import_file(directory, path, told)
    assert summary.import_id.startswith("imp_")
    assert msgspec.structs.replace(summary.tally) == dry.tally
    assert summary.tally == Tally(read=3, created=3, without_password=3)
    assert (told.phases, told.positions[-1]) == (["check", "write"], path.stat().st_size)
    assert await names(directory) == {"ann", "bob", "cid"}
    assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}
    again = await import_file(directory, path)
    assert again.import_id != summary.import_id
    assert again.tally == Tally(read=3, unchanged=3, without_password=3)


async def test_nothing_is_written_if_one_row_is_refused(
    directory: Directory, tmp_path: Path
) -> None:
    told = Told()
    summary = await import_file(directory, write_csv(tmp_path, BAD), told)
    assert summary.import_id == ""
    assert summary.tally.refused_by == {"invalid": 1, "duplicate": 1}
    assert told.refused == [(3, "invalid"), (5, "duplicate")]
    assert await names(directory) == set()


async def test_good_rows_go_in_if_it_keeps_going(directory: Directory, tmp_path: Path) -> None:
    told = Told()
    path = write_csv(tmp_path, BAD)
    summary = await import_file(directory, path, told, keep_going=True)
    assert (summary.tally.created, summary.tally.refused) == (2, 2)
    assert told.phases == ["write"]
    assert told.refused == [(3, "invalid"), (5, "duplicate")]
    assert await names(directory) == {"ann", "cid"}


async def test_only_the_first_records(directory: Directory, tmp_path: Path) -> None:
    summary = await import_file(directory, write_csv(tmp_path, GOOD), stop_after=2)
    assert summary.tally.read == 2
    assert await names(directory) == {"ann", "bob"}


@pytest.mark.parametrize("keep_going", [False, True])
async def test_an_import_that_broke_off_goes_on(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_going: bool
) -> None:
    monkeypatch.setattr(runs, "MAX_CHUNK_ROWS", FIRST_CHUNK_ROWS)
    lines = [f"user{n},user{n}@example.com\n" for n in range(600)]
    lines[10] = lines[5] if keep_going else lines[10]
    lines[400] = "user5,other@example.com\n" if keep_going else lines[400]
    path = write_csv(tmp_path, "".join(lines))
    write_chunk, told = writing.write_chunk, Told()

    async def break_off(*arguments: Any, **more: Any) -> Any:
        if more["record"] > FIRST_CHUNK_ROWS:
            raise KeyboardInterrupt
        return await write_chunk(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_chunk", break_off)
        with pytest.raises(KeyboardInterrupt):
            await import_file(directory, path, told, keep_going=keep_going)
    told.phases.clear()
    summary = await import_file(directory, path, told, keep_going=keep_going)
    assert told.phases == ["write"]
    assert summary.resumed_after == FIRST_CHUNK_ROWS
    if keep_going:
        assert told.refused == [(402, "duplicate")]
        assert summary.tally == Tally(
            read=600, created=598, skipped=1, refused=1, refused_by={"duplicate": 1},
            without_password=598,
        )  # fmt: skip
    else:
        assert summary.tally == Tally(read=600, created=600, without_password=600)
    assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}


async def test_chunks_are_smaller_while_another_process_writes(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not directory.driver.has_one_writer:
        return  # writers do not wait for each other
    monkeypatch.setattr(runs, "FIRST_CHUNK_ROWS", 100)
    monkeypatch.setattr(writing, "MIN_CHUNK_ROWS", 10)
    monkeypatch.setattr(writing, "SHARED_LOCK_S", 1e-6)
    path = write_csv(tmp_path, "".join(f"user{n},user{n}@example.com\n" for n in range(1000)))
    driver, write_chunk, sizes = directory.driver, writing.write_chunk, list[int]()

    async def note_size(*arguments: Any, **more: Any) -> Any:
        sizes.append(len(arguments[2]))
        if len(sizes) == 2:
            monkeypatch.setattr(driver, "others_have_written", _yes)
        return await write_chunk(*arguments, **more)

    monkeypatch.setattr(writing, "write_chunk", note_size)
    await import_file(directory, path)
    # The chunk after the one that is being written is read already.
    assert sizes[:2] == [100, 100]
    assert sizes[2] == 200
    assert set(sizes[3:-1]) == {10}


async def _yes() -> bool:
    return True


async def test_a_row_that_is_refused_after_the_check_stops_the_import(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is taken between the check and the write."""
    other = tmp_path / "other"
    other.mkdir()
    plan, told = writing.start, Told()

    async def start_late(*arguments: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(writing, "start", plan)
            await import_file(directory, write_csv(other, "bob,new@example.com\n"))
        return await plan(*arguments)

    monkeypatch.setattr(writing, "start", start_late)
    options = ImportOptions(on_conflict="fail")
    summary = await import_file(directory, write_csv(tmp_path, GOOD), told, options)
    assert summary.stopped
    assert summary.import_id
    assert told.refused == [(3, "taken")]
    assert (summary.tally.created, summary.tally.refused) == (0, 1)
    assert await names(directory) == {"bob"}


async def test_passwords_in_clear_are_hashed_if_asked(directory: Directory, tmp_path: Path) -> None:
    path = tmp_path / "clear.csv"
    path.write_text("username,password\nann,violet-Kettle-42\n")
    refused = await import_file(directory, path)
    assert refused.tally.refused_by == {"clear_password": 1}
    options = ImportOptions(hash_plain=True)
    summary = await import_file(directory, path, options=options)
    assert (summary.tally.created, summary.tally.hashes) == (1, {"argon2id": 1})
    found = await users.find_with_hash(directory.read(SYSTEM_ACTOR), "ann")
    assert found
    assert found[1].startswith("$argon2id$")
    assert await directory.password_hasher.verify("violet-Kettle-42", found[1])


async def test_a_file_without_records(directory: Directory, tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="no record"):
        await import_file(directory, write_csv(tmp_path, ""))
