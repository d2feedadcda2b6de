"""Every actor, every target, every operation of every contract: as the contracts say.

Each cell checks the status, that a refusal changed no row, that nobody shows who should not, and
that the history or the log has its line; ``table.py`` says where the promises stand.
"""

from __future__ import annotations

import pytest

from tests.authorization.checks import check_cell
from tests.authorization.fixtures import SeededApp
from tests.authorization.table import CONTRACTS, Operation, cells_of, load

pytestmark = pytest.mark.anyio

OPERATIONS = [operation for name in CONTRACTS for operation in load(name)]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.contract}-{o.name}")
async def test_every_cell_is_as_the_contract_says(
    seeded_app: SeededApp, operation: Operation
) -> None:
    problems: list[str] = []
    for turn, cell in enumerate(cells_of(operation)):
        problems += await check_cell(seeded_app, cell, turn)
    assert not problems, "\n".join(["", *problems])
