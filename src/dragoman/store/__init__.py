"""The store: all tables and all SQL, for SQLite and PostgreSQL."""
