"""The same users' API in FastAPI with fastapi-users, SQLAlchemy and asyncpg."""
