"""What every screen of the console shares."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.explain import ExplainedContract


class Console(msgspec.Struct, frozen=True):
    """The directory, and what the console has to know of the contracts."""

    directory: Directory
    contracts: Sequence[ExplainedContract]
