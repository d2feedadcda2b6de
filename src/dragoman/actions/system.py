"""The system actor: jobs and the command line. Dialects and the console must not import it."""

from __future__ import annotations

from dragoman.rules.actor import Actor
from dragoman.rules.vocabulary import UNRESTRICTED


def system_actor(name: str, contract: str = "system") -> Actor:
    """Return an actor that passes every policy check; ``name`` identifies it in the audit log."""
    return Actor(kind="system", contract=contract, restrictions=UNRESTRICTED, name=name)
