"""What happens before the workers start: migrations, and the first superadmin."""

from __future__ import annotations

import sys
import time

from dragoman import app
from dragoman.cli.session import database_version
from dragoman.jobs.bootstrap import FirstAdmin
from dragoman.settings import Settings
from dragoman.store import migrate
from dragoman.web.logs import log


async def prepare(settings: Settings, address: str) -> FirstAdmin | None:
    """Migrate the database and fill an empty one. Return the first superadmin if it was created.

    ``address`` is where the server will listen.

    Raises SettingsError, Unavailable, Invalid or CliError.
    """
    before = await database_version(settings)
    started = time.monotonic()
    first_admin = await app.migrate_and_bootstrap(
        settings, address=address, report=lambda line: log.info("migrating", message=line)
    )
    if before != migrate.HEAD_REVISION:
        seconds = round(time.monotonic() - started, 1)
        log.info("migrated", before=before, now=migrate.HEAD_REVISION, seconds=seconds)
    return first_admin


def announce(first_admin: FirstAdmin) -> None:
    """Tell of the first superadmin. Its password goes to standard output, not into the log."""
    generated = first_admin.generated
    log.info("first_superadmin", username=first_admin.username, password_generated=generated)
    if generated:
        lines = (
            "The first superadmin was created:",
            f"  username: {first_admin.username}",
            f"  password: {first_admin.password}",
            "  (shown only once)",
        )
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
