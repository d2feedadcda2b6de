"""How VSAY Terminal narrows the directory's policy."""

from __future__ import annotations

from dragoman.rules.vocabulary import Action, Restrictions

RESTRICTIONS = Restrictions(
    # Members and viewers look at users and do nothing else, not even to the own account.
    no_self_service=frozenset({Action.UPDATE_USER, Action.DELETE_USER}),
)
