"""What cannot be restored is refused in one sentence, and changes nothing; a killed one is noticed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from dragoman.actions.transfer.snapshot_file import (
    BackupError,
    Header,
    SnapshotReader,
    write_snapshot,
)
from dragoman.store import migrate
from dragoman.store.snapshot import TABLES, column_type
from tests.support.databases import DatabaseTemplates, query
from tests.support.server import dragoman_command, environment
from tests.support.terminal import CommandResult, Terminal

ALL_USERS = "SELECT count(*) FROM users"


@pytest.fixture(scope="module")
def backup(database_templates: DatabaseTemplates, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the world."""
    path = tmp_path_factory.mktemp("backups") / "backup"
    with database_templates.seeded("sqlite") as (database, _):
        assert Terminal(database, path.parent).run("backup", str(path)).exit_code == 0
    return path


@pytest.fixture
def target(database_templates: DatabaseTemplates, tmp_path: Path) -> Iterator[Terminal]:
    """A terminal on an empty SQLite file."""
    with database_templates.blank("sqlite") as url:
        yield Terminal(url, tmp_path)


@pytest.fixture
def blank(blank_database: str, tmp_path: Path) -> Terminal:
    """A terminal on an empty database of each kind in turn."""
    return Terminal(blank_database, tmp_path)


def restore(terminal: Terminal, path: Path, *options: str) -> CommandResult:
    return terminal.run("restore", str(path), *(options or ("--no-erasures",)))


def is_untouched(terminal: Terminal) -> bool:
    return not Path(terminal.database.removeprefix("sqlite:///")).exists()


def test_a_database_that_is_in_use_is_refused(terminal: Terminal, backup: Path) -> None:
    restore(terminal, backup).assert_refused(1, "the database is not empty")
    assert len(asyncio.run(query(terminal.database, "SELECT id FROM users"))) == 1


def test_a_migrated_database_without_contents_is_empty(blank: Terminal, backup: Path) -> None:
    blank.run("migrate")
    assert restore(blank, backup).exit_code == 0
    restore(blank, backup).assert_refused(1, "the database is not empty")


def test_a_ledger_must_be_there_or_not_needed(target: Terminal, backup: Path) -> None:
    restore(target, backup, "--erasures", "missing").assert_refused(1, "missing: No such file")
    target.run("restore", str(backup)).assert_refused(1, "ledger of erasures", "--no-erasures")
    target.run("restore", str(backup), "--erasures", "x", "--no-erasures").assert_refused(2)
    damaged = target.folder / "damaged"
    damaged.write_text("one 2023-11-14T22:13:20Z\n?\n")
    restore(target, backup, "--erasures", str(damaged)).assert_refused(1, "damaged, line 2")
    assert is_untouched(target)


def test_other_files_are_no_backups(target: Terminal, tmp_path: Path) -> None:
    for name, data in (("empty", b""), ("text", b"hello\n" * 999), ("zeros", bytes(20_480))):
        (tmp_path / name).write_bytes(data)
        restore(target, tmp_path / name).assert_refused(1, "is not a backup of dragoman")
    other = tmp_path / "other.tar"
    with tarfile.open(other, "w") as archive:
        archive.add(tmp_path / "text", "text")
    restore(target, other).assert_refused(1, "is not a backup of dragoman")
    restore(target, tmp_path / "missing").assert_refused(1, "No such file")
    assert is_untouched(target)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off(
    target: Terminal, backup: Path, tmp_path: Path, share: float
) -> None:
    data = backup.read_bytes().rstrip(b"\0")
    cut = tmp_path / "cut"
    cut.write_bytes(data[: int(len(data) * share)])
    refused = restore(target, cut)
    assert refused.exit_code == 1
    assert "is incomplete" in refused.stderr or "is damaged" in refused.stderr
    assert is_untouched(target)


def test_any_changed_byte_of_the_contents_is_noticed(
    target: Terminal, backup: Path, tmp_path: Path
) -> None:
    data = backup.read_bytes()
    with tarfile.open(backup) as archive:
        members = [
            (each.offset_data, each.size) for each in archive if each.name != "dragoman-backup.json"
        ]
    changed = tmp_path / "changed"
    for offset, size in members:
        for position in (offset, offset + size // 2, offset + size - 1):
            damaged = bytearray(data)
            damaged[position] ^= 1
            changed.write_bytes(damaged)
            with pytest.raises(BackupError, match="is damaged"), SnapshotReader(changed) as reader:
                reader.verify()
    restore(target, changed).assert_refused(1, "is damaged")
    assert is_untouched(target)


def _with_manifest(path: Path, target: Path, **changes: object) -> None:
    """Copy a backup with another header and a manifest that fits."""
    manifest_data = b""
    with (
        tarfile.open(path) as source,
        tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as made,
    ):
        for member in source:
            file = source.extractfile(member)
            assert file is not None
            data = file.read()
            if member.name == "dragoman-backup.json":
                data = json.dumps(json.loads(data) | changes).encode()
            if member.name == "manifest.json":
                manifest = json.loads(data)
                manifest["header"] |= changes
                data = manifest_data = json.dumps(manifest).encode()
            if member.name == "manifest.sha256":
                data = hashlib.sha256(manifest_data).hexdigest().encode()
            member.size = len(data)
            made.addfile(member, BytesIO(data))


def test_newer_backups_are_refused(target: Terminal, backup: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    _with_manifest(backup, newer, schema="9001")
    restore(target, newer).assert_refused(1, "newer than this program", "9001", "upgrade dragoman")
    _with_manifest(backup, newer, format=2, program="9.9")
    restore(target, newer).assert_refused(1, "has format 2", "upgrade dragoman", "9.9")
    assert is_untouched(target)


def test_a_backup_never_replaces_a_file(sqlite_terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    assert sqlite_terminal.run("backup", str(path)).exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    sqlite_terminal.run("backup", str(path)).assert_refused(1, "exists already")
    database = sqlite_terminal.database.removeprefix("sqlite:///")
    sqlite_terminal.run("backup", database).assert_refused(1, "exists already")
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup"]


def test_a_killed_restore_leaves_an_empty_database(blank: Terminal, backup: Path) -> None:
    with subprocess.Popen(
        [*dragoman_command(), "restore", str(backup), "--no-erasures"],
        cwd=blank.folder,
        env=environment(blank.settings),
        stderr=subprocess.PIPE,
        text=True,
    ) as killed:
        assert killed.stderr is not None
        assert any(line.startswith("users:") for line in killed.stderr), "it is loading"
        killed.kill()
    if asyncio.run(query(blank.database, ALL_USERS)) == [(0,)]:  # else it was quicker
        assert restore(blank, backup).exit_code == 0
    assert asyncio.run(query(blank.database, ALL_USERS)) == [(9,)]


async def _write_earlier_backup(database: str, path: Path) -> None:
    """Write a backup of the schema before this one."""
    await migrate.downgrade(database, "0006")
    statement = "SELECT m.name, c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c"
    existing = {(table, column) for table, column in await query(database, statement)}
    header = Header(1, "0006", "0.0.9", "2026-01-01T00:00:00Z")
    with write_snapshot(path, header) as writer:
        for table in TABLES:
            columns = [each for each in table.columns if (table.name, each.name) in existing]
            if not columns:
                continue
            names = ", ".join(each.name for each in columns)
            found = await query(database, f'SELECT {names} FROM "{table.name}"')
            flags = [n for n, each in enumerate(columns) if column_type(each) == "boolean"]
            rows = [
                [bool(v) if n in flags and v is not None else v for n, v in enumerate(row)]
                for row in found
            ]
            with writer.table(
                str(table.name), [(str(c.name), column_type(c)) for c in columns]
            ) as part:
                part.write(rows)
        writer.finish({"users": 77})


def test_an_earlier_schema_is_migrated_and_finished_after_an_interruption(
    database_templates: DatabaseTemplates,
    blank: Terminal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "earlier"
    with database_templates.seeded("sqlite") as (database, world):
        asyncio.run(_write_earlier_backup(database, path))
    blank.run("migrate")  # an empty database is taken back to the schema of the backup
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "upgrade", _interrupted)
        with pytest.raises(RuntimeError, match="interrupted"):
            restore(blank, path)
    asyncio.run(migrate.upgrade(blank.database, keep_copy=False))
    blank.run("users", "list").assert_refused(1, "not restored completely")
    served = blank.spawn("serve", "--port", "18765")
    assert served.exit_code == 1
    assert "not restored completely" in served.stderr
    assert restore(blank, path).exit_code == 0
    names = {user["username"] for user in blank.run("users", "list", "-o", "ndjson").lines()}
    assert names == {person.username for person in world.people.values()}
    assert restore(blank, path).exit_code == 1


async def _interrupted(*_: object, **__: object) -> None:
    raise RuntimeError("interrupted")
