"""What must be right in every answer of the accounts contract, whatever was requested."""

from __future__ import annotations

from tests.support.answer_checks import drf_problems

answer_problems = drf_problems
