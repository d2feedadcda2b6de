"""Restrictions of the accounts contract: other users' ids are refused, known or not."""

from __future__ import annotations

from dragoman.rules.vocabulary import Action, Restrictions

RESTRICTIONS = Restrictions(
    refuse_other_ids=frozenset({Action.UPDATE_USER, Action.DELETE_USER, Action.VIEW_PERMISSIONS})
)
