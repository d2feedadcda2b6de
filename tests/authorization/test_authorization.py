"""Every actor, every target, every operation of every contract: as the contracts say.

Each cell checks the status, that a refusal changed no row, that nobody shows who should not, and
that the history or the log has its line; ``table.py`` says where the promises stand.
"""

from __future__ import annotations

import pytest

from tests.authorization.ground import Ground
from tests.authorization.judge import play
from tests.authorization.table import CONTRACTS, Operation, cells_of, load

pytestmark = pytest.mark.anyio

OPERATIONS = [operation for name in CONTRACTS for operation in load(name)]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.contract}-{o.name}")
async def test_every_cell_is_as_the_contract_says(ground: Ground, operation: Operation) -> None:
    faults: list[str] = []
    for turn, cell in enumerate(cells_of(operation)):
        faults += await play(ground, cell, turn)
    assert not faults, "\n".join(["", *faults])
