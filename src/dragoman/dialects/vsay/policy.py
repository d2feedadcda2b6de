"""Restrictions of VSAY Terminal: members and viewers cannot change even their own account."""

from __future__ import annotations

from dragoman.rules.vocabulary import Action, Restrictions

RESTRICTIONS = Restrictions(
    no_self_service=frozenset({Action.UPDATE_USER, Action.DELETE_USER}),
    approved_only=True,
)
