"""The pages of who may do what at each contract are fresh."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.authorization import pages
from tests.authorization.table import CONTRACTS

FOLDER = Path(__file__).parents[2] / "docs" / "permissions"


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_page_is_fresh(name: str) -> None:
    assert (FOLDER / f"{name}.md").read_text(encoding="utf-8") == pages.render(name), (
        "run make docs"
    )
