"""Database drivers: SQLite and PostgreSQL."""
