"""What only the console raises."""

from __future__ import annotations

from collections.abc import Mapping

from dragoman.rules.errors import DirectoryError

PROOF_FIELD = "proof"
"""The name of the password field in a form that is sent again with a proof."""


class CrossSite(DirectoryError):
    """A page of another origin made the request."""


class ProofNeeded(DirectoryError):
    """The password is asked for again; the form is kept, and sent again with it.

    Args:
        form: the fields of the form.
        message: what was wrong with the proof that came along; empty if none did.
    """

    def __init__(self, form: Mapping[str, str], message: str = "") -> None:
        super().__init__()
        self.form = {name: value for name, value in form.items() if name != PROOF_FIELD}
        self.message = message
