"""Cells of our tables that a spreadsheet would take for formulas, with an apostrophe before them.

Only a table whose first column is ``dragoman:1`` has such apostrophes (docs/export.md).
"""

from __future__ import annotations

import re

MARK_COLUMN = "dragoman:1"
"""The header of the first column of our tables: apostrophes before formulas are not data."""

# OWASP, CSV injection: these begin a formula. Cells that have apostrophes before them already get
# one more, so that taking one off always gives the cell back.
_FORMULA = re.compile("'*[=+\\-@\t\r]")
_DEFUSED = re.compile("'+[=+\\-@\t\r]")


def defuse(cell: str) -> str:
    """Return the cell as a spreadsheet shows it and does not calculate it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def restore(cell: str) -> str:
    """Return the cell as it was before ``defuse``."""
    return cell[1:] if _DEFUSED.match(cell) else cell
