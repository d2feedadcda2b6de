"""A viewer, which no wiwebb call can make: the command line's way, without the command line."""

from __future__ import annotations

from dragoman import app
from dragoman.actions import users
from dragoman.actions.system import system_actor
from dragoman.rules.model import NewUser, Role
from dragoman.rules.passwords import PasswordRules
from dragoman.settings import Settings


async def make_viewer(
    settings: Settings, username: str, email: str, password: str, *, tenant_id: int
) -> int:
    """Add a viewer to a tenant and return the id."""
    new = NewUser(username=username, email=email, role=Role.VIEWER, tenant_id=tenant_id)
    async with app.open_directory(settings) as directory:
        user = await users.create(directory, system_actor("tests"), new, password, PasswordRules())
    return user.id
