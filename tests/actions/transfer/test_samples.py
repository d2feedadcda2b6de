"""Every sample file from end to end: who is there afterwards, and whose password opens what.

``expected.ndjson`` says what becomes of each record. A password that opens an account opens it at
every contract that has the person, and is stored as argon2id after the first time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.actions.transfer import run
from dragoman.actions.transfer.opening import open_import
from dragoman.actions.transfer.records import (
    FileOptions,
    FileProblem,
    ImportOptions,
    Record,
    RowProblem,
)
from dragoman.actions.transfer.run import Reporter, RunOptions, Summary
from dragoman.rules.model import User
from dragoman.settings import Settings
from dragoman.store import users
from dragoman.store.transaction import now
from tests.actions.transfer.sample_files import EXPECTED, FILES, SAMPLES, ExpectedRecord
from tests.support.people import SYSTEM_ACTOR
from tests.support.user_requests import SIGN_INS

pytestmark = pytest.mark.anyio

REFUSED_FILES = {"no-header.csv": "no column is known", "empty.csv": "the file is empty"}
NAMES_NOT_IN_FILE = {("messy.ndjson", 1), ("messy.ndjson", 2), ("kratos-identities.json", 10)}
"""Records for which names are expected that do not occur in them."""


class RefusedRows(Reporter):
    """Keeps why rows are refused."""

    def __init__(self) -> None:
        self.problems: dict[int, list[RowProblem]] = {}

    def refuse(self, record: Record, problems: Sequence[RowProblem]) -> None:
        self.problems[record.line] = list(problems)


@pytest.fixture
async def directory(settings: Settings) -> AsyncIterator[Directory]:
    async with app.open_directory(settings) as directory:
        yield directory


@pytest.fixture
async def import_file(directory: Directory) -> Any:
    async def imported(name: str, reporter: Reporter) -> Summary:
        options = ImportOptions()
        source, choice = open_import(SAMPLES / name, FILES[name], options, aliases={}, now=now())
        run_options = RunOptions(source_name=name, digest=name, keep_going=True)
        return await run.run(
            directory, SYSTEM_ACTOR, source, choice.translate, options, run_options, reporter
        )

    return imported


def test_every_sample_is_imported() -> None:
    assert EXPECTED.keys() == FILES.keys() | REFUSED_FILES.keys()


@pytest.mark.parametrize("name", FILES)
async def test_a_sample(
    name: str, import_file: Any, directory: Directory, client: httpx.AsyncClient
) -> None:
    refused = RefusedRows()
    summary: Summary = await import_file(name, refused)
    records = EXPECTED[name]
    created = [record for record in records if record.result == "create"]
    tally = summary.tally
    assert tally.created == len(created), refused.problems
    assert tally.refused == sum(record.result == "error" for record in records)
    assert tally.skipped == sum(record.result == "skip" for record in records)
    assert tally.without_password == sum(not record.hash for record in created)
    lines = {record.line for record in records if record.line and record.result == "error"}
    assert not lines or refused.problems.keys() == lines
    for record in created:
        found = await users.find_with_hash(directory.read(SYSTEM_ACTOR), record.username)
        assert found is not None, record
        user, encoded = found
        check_user(record, user)
        assert bool(encoded) == bool(record.hash), record
    for record in created:
        await check_sign_in(client, record)
        if record.sign_in:
            found = await users.find_with_hash(directory.read(SYSTEM_ACTOR), record.username)
            assert found is not None
            assert found[1].startswith("$argon2id$"), record


def check_user(record: ExpectedRecord, user: User) -> None:
    assert user.username == record.username
    assert user.email == record.email
    if record.verified is not None:
        assert user.verified == record.verified, record
    active = "inactive" not in record.why if record.active is None else record.active
    assert user.active == active, record
    assert user.role.name.lower() == (record.role or "member"), record
    assert user.approved
    assert not user.signed_up
    assert user.email_assigned == bool(record.email), record
    said = ["display_name", "public_id", "phone"]
    if (record.file, record.record) not in NAMES_NOT_IN_FILE:
        said += ["first_name", "last_name"]
    for field in said:
        value = getattr(record, field)
        assert value in {None, getattr(user, field)}, (field, record)


async def check_sign_in(client: httpx.AsyncClient, record: ExpectedRecord) -> None:
    """Sign in at the contracts that have the person, with the right password and a wrong one."""
    if record.password is None:
        return
    contracts = {"accounts": record.username, "wiwebb": record.username}
    if record.email:
        contracts["vsay"] = record.email
    for contract, login_name in contracts.items():
        path, field = SIGN_INS[contract]
        answer = await client.post(path, json={field: login_name, "password": record.password})
        assert answer.is_success == bool(record.sign_in), (contract, record, answer.text)
    path, field = SIGN_INS["accounts"]
    body = {field: record.username, "password": f"{record.password}!"}
    assert (await client.post(path, json=body)).status_code in {400, 401}, record


@pytest.mark.parametrize("name", REFUSED_FILES)
def test_a_file_without_people(name: str) -> None:
    with pytest.raises(FileProblem, match=REFUSED_FILES[name]):
        open_import(SAMPLES / name, FileOptions(), ImportOptions(), aliases={}, now=now())
