"""Cells that a spreadsheet takes for formulas, and cells that only look as if they were defused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.actions.transfer.formula_cells import defuse, restore


@pytest.mark.parametrize("first", "=+-@\t\r")
def test_a_formula_gets_an_apostrophe(first: str):
    assert defuse(f"{first}1") == f"'{first}1"


@pytest.mark.parametrize("cell", ["", "a", "a=1", "'quoted'", "'", " =1", "1-2"])
def test_other_cells_stay_as_they_are(cell: str):
    assert defuse(cell) == restore(cell) == cell


@given(st.text("'=+-@\t\ra", max_size=6))
def test_restoring_gives_every_cell_back(cell: str):
    assert restore(defuse(cell)) == cell
    assert defuse(cell)[:1] not in set("=+-@\t\r") - {""}
