"""Checks of the servers around the directory: its own, the mail server, Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from dragoman.actions.directory import Directory
from dragoman.actions.system import system_actor
from dragoman.jobs.doctor import mail_server, public_address, rate_counters
from dragoman.jobs.doctor.finding import Finding
from dragoman.settings import Settings
from dragoman.store import server_state


async def check_servers(settings: Settings, directory: Directory | None) -> list[Finding]:
    """Speak to every server that the settings name, to all at a time.

    Args:
        settings: the settings, with a public URL.
        directory: the directory; None if its database cannot be used. Raises Unavailable.
    """
    work: list[Awaitable[Finding]] = [rate_counters.check(settings)]
    if settings.smtp_url:
        work.append(mail_server.check(settings))
    if directory is not None:
        work.append(_check_public_address(settings, directory))
    return list(await asyncio.gather(*work))


async def _check_public_address(settings: Settings, directory: Directory) -> Finding:
    read = directory.read(system_actor("checkup"))
    instance = await server_state.find(read, server_state.INSTANCE)
    listening = await server_state.find(read, server_state.LISTENING)
    return await public_address.check(settings, instance, listening)
