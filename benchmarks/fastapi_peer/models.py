"""Tenants, users and tokens, with the indexes that Dragoman's lists have."""

# FastAPI and fastapi-users are installed in a separate environment.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTable
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyBaseAccessTokenTable
from sqlalchemy import DateTime, ForeignKey, Index, String
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

DATABASE = os.environ["PEER_DATABASE"].replace("postgresql://", "postgresql+asyncpg://")
CONNECTIONS = 8

engine = create_async_engine(
    DATABASE,
    pool_size=CONNECTIONS,
    max_overflow=0,
    connect_args={"server_settings": {"jit": "off"}},
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def session() -> AsyncGenerator[AsyncSession]:
    """Provide a database session to a request."""
    async with sessions() as own:
        yield own


class Base(DeclarativeBase):
    """Base class of all tables."""


class Tenant(Base):
    """A tenant."""

    __tablename__ = "tenants"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(150), unique=True)
    slug: Mapped[str] = mapped_column(String(160), unique=True)


class User(SQLAlchemyBaseUserTable[int], Base):
    """A user; ``email``, ``hashed_password`` and three flags come from the library."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(150, collation="C"), unique=True)
    first_name: Mapped[str] = mapped_column(String(150), default="")
    last_name: Mapped[str] = mapped_column(String(150), default="")
    role: Mapped[str] = mapped_column(String(20), default="subscriber")
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenants.id"))
    phone_number: Mapped[str] = mapped_column(String(20), default="")
    bio: Mapped[str] = mapped_column(default="")
    url: Mapped[str] = mapped_column(String(200), default="")
    company: Mapped[str] = mapped_column(String(100), default="")
    location: Mapped[str] = mapped_column(String(100), default="")
    date_joined: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=lambda: datetime.now(UTC)
    )
    last_login: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    home: Mapped[Tenant | None] = relationship(lazy="raise")

    __table_args__ = (
        Index("users_by_tenant_name", "tenant_id", "username"),
        Index("users_by_state", "tenant_id", "role", "is_active", "username"),
        Index("users_by_role", "role", "username"),
        Index("users_by_creation", "date_joined"),
    )


class AccessToken(SQLAlchemyBaseAccessTokenTable[int], Base):
    """A session of the library's database strategy."""

    __tablename__ = "accesstoken"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="cascade"), index=True)
