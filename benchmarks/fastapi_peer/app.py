"""The application: fastapi-users signs in and creates users, our own router lists them."""

# FastAPI and fastapi-users are installed in a separate environment.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportCallIssue=false
# ruff: noqa: B008 - FastAPI's dependencies are calls in defaults

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi_users import BaseUserManager, FastAPIUsers, IntegerIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users.password import PasswordHelper
from fastapi_users_db_sqlalchemy import SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import AliasPath, BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from benchmarks.fastapi_peer.models import AccessToken, User, session

# Dragoman's parameters: 19 MiB, two passes, one lane.
HASHES = PasswordHelper(PasswordHash((Argon2Hasher(2, 19 * 1024, 1),)))
PLATFORM_ROLES = {"superadmin", "admin"}
Role = Literal["superadmin", "admin", "tenant_owner", "subscriber"]


class UserManager(IntegerIDMixin, BaseUserManager[User, int]):
    """User manager that the library requires."""

    async def on_after_login(
        self, user: User, request: Request | None = None, response: Response | None = None
    ) -> None:
        """Record the sign-in."""
        await self.user_db.update(user, {"last_login": datetime.now(UTC)})


async def user_manager(own: AsyncSession = Depends(session)) -> AsyncGenerator[UserManager]:
    """Provide the user database to a request."""
    yield UserManager(SQLAlchemyUserDatabase(own, User), HASHES)


def strategy(own: AsyncSession = Depends(session)) -> DatabaseStrategy[User, int, AccessToken]:
    """Store tokens in the database."""
    return DatabaseStrategy(SQLAlchemyAccessTokenDatabase(own, AccessToken), lifetime_seconds=None)


bearer = AuthenticationBackend("bearer", BearerTransport("api/v1/auth/login"), strategy)
users = FastAPIUsers[User, int](user_manager, [bearer])
current = users.current_user(active=True)


class UserRead(BaseModel):
    """The sixteen fields, in the contract's order."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    username: str
    email: str
    first_name: str
    last_name: str
    role: str
    tenant: int | None = Field(validation_alias="tenant_id")
    tenant_name: str | None = Field(default=None, validation_alias=AliasPath("home", "name"))
    is_active: bool
    phone_number: str
    bio: str
    url: str
    company: str
    location: str
    date_joined: datetime
    last_login: datetime | None


class UserCreate(schemas.BaseUserCreate):
    """Input of create."""

    username: str
    first_name: str = ""
    last_name: str = ""
    role: Role
    tenant_id: int | None = Field(default=None, validation_alias="tenant")


class UserPage(BaseModel):
    """A page of a list."""

    count: int
    next: str | None
    previous: str | None
    results: list[UserRead]


app = FastAPI(openapi_url=None)
app.include_router(users.get_auth_router(bearer), prefix="/api/v1/auth")


@app.get("/readyz")
async def ready() -> str:
    """Readiness check."""
    return "ready"


def _visible_users(caller: User) -> list[ColumnElement[bool]]:
    """Return the users that a caller may see: all, their tenant's, or only themselves."""
    if caller.role in PLATFORM_ROLES:
        return []
    if caller.role == "tenant_owner":
        return [User.tenant_id == caller.tenant_id]
    return [User.id == caller.id]


@app.get("/api/v1/users/", response_model=UserPage)
async def list_users(
    request: Request,
    page: int = 1,
    page_size: int = 10,
    role: Role | None = None,
    tenant: int | None = None,
    is_active: bool | None = None,
    search: str = "",
    caller: User = Depends(current),
    own: AsyncSession = Depends(session),
) -> dict[str, Any]:
    """List a page, with the exact count."""
    if caller.role == "subscriber":
        raise HTTPException(403)
    size = min(page_size, 100)
    where = _visible_users(caller)
    if role is not None:
        where.append(User.role == role)
    if tenant is not None:
        where.append(User.tenant_id == tenant)
    if is_active is not None:
        where.append(User.is_active == is_active)
    if search:
        # A plan made once for any word walks the user names' index instead of the trigrams'.
        await own.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    for word in search.split():
        searched = (User.username, User.email, User.first_name, User.last_name)
        where.append(or_(*(column.icontains(word, autoescape=True) for column in searched)))
    count = await own.scalar(select(func.count()).select_from(User).where(*where)) or 0
    rows = select(User).where(*where).options(joinedload(User.home)).order_by(User.username)
    found = (await own.scalars(rows.limit(size).offset((page - 1) * size))).all()

    def link(number: int) -> str:
        return str(request.url.include_query_params(page=number))

    return {
        "count": count,
        "next": link(page + 1) if page * size < count else None,
        "previous": link(page - 1) if page > 1 else None,
        "results": found,
    }


@app.get("/api/v1/users/{user_id}/", response_model=UserRead)
async def retrieve(
    user_id: int, caller: User = Depends(current), own: AsyncSession = Depends(session)
) -> User:
    """Return one user within the caller's reach."""
    wanted = select(User).where(User.id == user_id, *_visible_users(caller))
    user = await own.scalar(wanted.options(joinedload(User.home)))
    if user is None:
        raise HTTPException(404)
    return user


@app.post("/api/v1/users/", response_model=UserRead, status_code=201)
async def create(
    new: UserCreate,
    caller: User = Depends(current),
    making: UserManager = Depends(user_manager),
    own: AsyncSession = Depends(session),
) -> User:
    """Create a user; for platform administrators."""
    if caller.role not in PLATFORM_ROLES:
        raise HTTPException(403)
    user = await making.create(new)
    await own.refresh(user, ["home"])
    return user
