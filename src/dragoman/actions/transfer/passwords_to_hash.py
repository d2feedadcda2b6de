"""Hashes the passwords in clear of an import, and wraps its weak hashes, on all cores."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from dragoman.actions.directory import Directory
from dragoman.actions.transfer.records import ImportedUser, ImportOptions


async def hashed(
    directory: Directory, users: Sequence[ImportedUser], options: ImportOptions
) -> list[ImportedUser]:
    """Return the rows with the hashes that are stored; about 30 ms of one core for each such row.

    Args:
        directory: the application's shared state.
        users: the rows.
        options: whether passwords in clear are hashed, and weak hashes wrapped.

    Raises:
        Unavailable: the hashing queue is full.
    """
    if not (options.hash_plain or options.wrap_weak):
        return list(users)
    slots = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(user: ImportedUser) -> ImportedUser:
        async with slots:
            return await _hash(directory, user, options)

    return await asyncio.gather(*(one(user) for user in users))


async def _hash(directory: Directory, user: ImportedUser, options: ImportOptions) -> ImportedUser:
    if user.plain_password is not UNSET:
        encoded = await directory.password_hasher.hash(user.plain_password)
        return msgspec.structs.replace(user, password_hash=encoded)
    if options.wrap_weak and user.password_hash:
        encoded = await directory.password_hasher.wrap(user.password_hash)
        if encoded != user.password_hash:
            return msgspec.structs.replace(
                user, password_hash=encoded, weak_hash=user.password_hash
            )
    return user
