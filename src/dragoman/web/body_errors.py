"""Errors of request bodies: unreadable, too large, of an unsupported media type."""

from __future__ import annotations

from dragoman.rules.errors import DirectoryError


class BadRequest(DirectoryError):
    """The request itself cannot be read; ``what`` says why in plain words without its content."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TooLarge(DirectoryError):
    """The body is larger than ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"limit {limit}")
        self.limit = limit


class UnsupportedMedia(DirectoryError):
    """The body is of a media type that this contract does not read."""

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type)
        self.media_type = media_type


class NotAnObject(DirectoryError):
    """A body that is well-formed, but no object; ``kind`` is ``list``, ``str``, …."""

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name)
        self.type_name = type_name
