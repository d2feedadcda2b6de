"""Names for completion: quick, limited, and without a trace.

It does without ``app.py`` where it can, whose imports take longer than the look-up.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import dragoman
from dragoman import settings as settings_module
from dragoman.settings import Settings

LIMIT = 100
"""Maximum number of names."""
TIMEOUT_S = 2.0
"""How long a look-up may take, in seconds; people wait for it with their fingers on the keys."""
_NEEDED = ("DATABASE", "DATABASE_FILE", "TENANT", "CONTRACTS", "CONFIG")

Name = tuple[str, str]
"""A name, and what is shown beside it; may be empty."""


def find(what: str, prefix: str, tenant: str | None = None) -> list[Name]:
    """Return the names that begin with ``prefix``, at most ``LIMIT``.

    Args:
        what: ``users``, ``tenants``, ``groups``, ``contracts`` or ``permissions``.
        prefix: the beginning of the name; upper and lower case are the same.
        tenant: the slug of the tenant that groups belong to; None for the default tenant.

    Raises:
        Exception: the settings are wrong, or the database cannot be reached in time.
    """
    if what == "permissions":
        from dragoman.rules.policy import PERMISSION_CATALOGUE

        return _beginning(prefix, [(code, name) for _, code, name, _ in PERMISSION_CATALOGUE])
    settings = _load_settings()
    if what == "contracts":
        return _beginning(prefix, [(name, "") for name in settings.contracts or _all_contracts()])
    return asyncio.run(
        asyncio.wait_for(_query(settings, what, prefix, tenant or settings.tenant), TIMEOUT_S)
    )


def _load_settings() -> Settings:
    """Return the settings; those of contracts are known only if a file may have some."""
    if os.environ.get(f"{settings_module.PREFIX}CONFIG"):
        from dragoman import app

        return app.load_settings()
    names = [f"{settings_module.PREFIX}{name}" for name in _NEEDED]
    return settings_module.load({n: os.environ[n] for n in names if n in os.environ})


def _all_contracts() -> list[str]:
    folder = Path(dragoman.__file__).parent / "dialects"
    return sorted(path.parent.name for path in folder.glob("*/routes.py"))


def _beginning(prefix: str, names: list[Name]) -> list[Name]:
    return [each for each in names if each[0].casefold().startswith(prefix.casefold())][:LIMIT]


async def _query(settings: Settings, what: str, prefix: str, tenant: str) -> list[Name]:
    from dragoman.actions.system import system_actor
    from dragoman.store import migrate
    from dragoman.store.drivers import driver_for
    from dragoman.store.transaction import Read

    # Before the driver opens it: a file that is not ours must stay as it is.
    if await migrate.current_revision(settings.database) != migrate.HEAD_REVISION:
        return []
    driver = driver_for(settings)
    await driver.open()
    try:
        read = Read(driver, system_actor("completion", contract="cli"))
        if what == "users":
            from dragoman.store import login_names

            return await login_names.list_by_prefix(read, prefix, LIMIT)
        from dragoman.store import groups, tenants

        if what == "tenants":
            found = await tenants.list_by_prefix(read, prefix, LIMIT)
            return [(each.slug, each.name) for each in found]
        of_tenant = await tenants.find_by_slug(read, tenant)
        rows = await groups.list_all(read, of_tenant.id) if of_tenant else []
        return _beginning(prefix, [(group.name, "") for group in rows])
    finally:
        await driver.close()
