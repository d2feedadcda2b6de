"""Check of the Redis or Valkey that counts rates."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from limits import RateLimitItemPerMinute

from dragoman.jobs.doctor.finding import Finding, ok, warn
from dragoman.jobs.doctor.foreign_text import printable
from dragoman.settings import Settings
from dragoman.shared_windows import SharedWindows

CHECK = "redis"


async def check(settings: Settings) -> Finding:
    """Count something in Redis, if the settings name one."""
    if not settings.redis:
        return ok(CHECK, "none: each worker counts rates for itself")
    parts = urlsplit(settings.redis)
    where = f"{parts.hostname}:{parts.port or 6379}{parts.path}"
    windows = SharedWindows(settings.redis)
    try:
        await windows.check(RateLimitItemPerMinute(1))
    except OSError as error:
        said = str(error)
        if parts.password:
            for password in (parts.password, unquote(parts.password)):
                said = said.replace(password, "***")
        return warn(
            CHECK,
            f"{where}: {printable(said)}",
            "each worker counts rates for itself, so that a client gets a multiple of its limit",
            "start Redis or Valkey, or correct DRAGOMAN_REDIS",
        )
    finally:
        await windows.close()
    return ok(CHECK, f"{where} counts rates for all workers and nodes")
