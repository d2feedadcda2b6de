"""What an import decides about a password hash."""

from __future__ import annotations

import msgspec

NO_PASSWORD = "none"
"""The scheme of an unusable hash: the user exists and has no password."""


class HashVerdict(msgspec.Struct, frozen=True):
    """The decision about a password hash of another system.

    Attributes:
        scheme: the short name of the scheme, such as ``argon2id`` or ``pbkdf2-sha256``; ``none``
            if there is no password; empty if the hash is refused.
        code: empty if the hash is accepted, else ``refused_hash``, ``unreadable_hash`` or
            ``clear_password``.
        detail: why it is refused, for a person to read; never contains the hash.
        stored: the text to store as the user's hash; empty if there is no password or the hash is
            refused.
    """

    scheme: str
    code: str = ""
    detail: str = ""
    stored: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the row may be imported, with this hash or without a password."""
        return not self.code

    @property
    def no_password(self) -> bool:
        """Whether the hash says that the user has no password, which is no error."""
        return self.scheme == NO_PASSWORD
