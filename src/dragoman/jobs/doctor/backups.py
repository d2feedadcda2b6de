"""Check of when the last backup was made."""

from __future__ import annotations

from dragoman.jobs.doctor.finding import Finding, ok, warn
from dragoman.rules.model import DAY, HOUR
from dragoman.settings import Settings
from dragoman.store import server_state
from dragoman.store.transaction import Read

CHECK = "backups"
CONSEQUENCE = "what has changed since is lost with the database"
ADVICE = (
    "run 'dragoman backup FILE' every night (docs/operations.md has a timer), or set "
    "DRAGOMAN_BACKUP_DAYS=0 if you back up in another way"
)


async def check(read: Read, settings: Settings) -> Finding:
    """Warn if ``dragoman backup`` was never run, or not for DRAGOMAN_BACKUP_DAYS."""
    if not settings.backup_days:
        return ok(CHECK, "made in another way (DRAGOMAN_BACKUP_DAYS is 0)")
    taken_at = await server_state.find(read, server_state.LAST_BACKUP)
    if taken_at is None:
        return warn(CHECK, "'dragoman backup' was never run", CONSEQUENCE, ADVICE)
    age = max(0, read.now - int(taken_at))
    shown = f"{age // DAY} days" if age >= 2 * DAY else f"{age // HOUR} hours"
    if age > settings.backup_days * DAY:
        return warn(CHECK, f"the last one was made {shown} ago", CONSEQUENCE, ADVICE)
    return ok(CHECK, f"the last one was made {shown} ago")
