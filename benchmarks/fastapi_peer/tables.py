"""``python -m benchmarks.fastapi_peer.tables``: creates the tables in an empty database."""

# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio

from benchmarks.fastapi_peer.models import Base, engine


async def main() -> None:
    """Create the tables."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


asyncio.run(main())
