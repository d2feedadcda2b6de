"""The annotations of Actor can be resolved, which an import cycle would prevent."""

from __future__ import annotations

import typing

from dragoman.rules.actor import Actor
from dragoman.rules.vocabulary import Restrictions


def test_annotations_can_be_resolved() -> None:
    hints = typing.get_type_hints(Actor)
    assert hints["restrictions"] is Restrictions
    assert hints["tenant_id"] == int | None
