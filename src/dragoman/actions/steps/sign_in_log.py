"""The lines of the log that say who a visitor has become."""

from __future__ import annotations

from typing import Any

import structlog

from dragoman.rules.actor import Actor
from dragoman.rules.model import User

log: Any = structlog.get_logger()


def log_sign_in(visitor: Actor, user: User, how: str) -> None:
    """Log that a visitor is signed in as a user; call it after the commit.

    Args:
        visitor: the caller, as it was before.
        user: the user.
        how: ``password``, ``sign-up`` or ``invitation``.
    """
    name_user(user)
    log.info(
        "signed_in",
        how=how,
        user=user.id,
        public_id=user.public_id,
        contract=visitor.contract,
        request_id=visitor.request_id,
        address=visitor.address,
    )


def name_user(user: User) -> None:
    """Let the access log's line about this request name the user, by its ids alone."""
    structlog.contextvars.bind_contextvars(became={"user": user.id, "public_id": user.public_id})
