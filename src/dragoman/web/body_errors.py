"""Errors of request bodies: unreadable, too large, of an unsupported media type."""

from __future__ import annotations

from dragoman.rules.errors import DirectoryError


class BadRequest(DirectoryError):
    """The request cannot be parsed; ``message`` says why, without quoting its content."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TooLarge(DirectoryError):
    """The body is larger than ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"limit {limit}")
        self.limit = limit


class UnsupportedMedia(DirectoryError):
    """The contract does not accept bodies of this media type."""

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type)
        self.media_type = media_type


class NotAnObject(DirectoryError):
    """The body is well-formed but not an object; ``type_name`` is ``list``, ``str``, …."""

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name)
        self.type_name = type_name
