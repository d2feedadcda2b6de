"""Sends what the outbox holds, after the commit."""

from __future__ import annotations

from dragoman.actions.directory import Directory


async def send_due(directory: Directory) -> int:
    """Send what is due; returns how many went out."""
    return 0
