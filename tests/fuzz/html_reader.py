"""Reads HTML as a browser would: which elements there are, and what they say."""

from __future__ import annotations

from html.parser import HTMLParser


class HtmlReader(HTMLParser):
    """``shape`` are the elements with the names of their attributes; ``said`` all texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shape: list[tuple[str, tuple[str, ...]]] = []
        self.texts = ""
        self.values: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        if tag != "bdi":  # stands around a name that is repeated, and only there
            self.shape.append((tag, tuple(sorted(name for name, _ in attrs))))
        self.values += [value or "" for _, value in attrs]

    def handle_comment(self, data: str) -> None:
        """Note a comment: there is none in any page of ours."""
        self.shape.append(("!--", (data,)))

    def handle_data(self, data: str) -> None:
        """Note what is said."""
        self.texts += data
