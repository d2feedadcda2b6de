"""Wekan's REST API, the users' part: /users/… to sign in, /api/user and /api/users."""

IMPORT_COLUMNS = {"_id": "public_id", "createdAt": "created_at", "loginDisabled": "!active"}
"""Names of columns and fields that imports understand (see ``dialects.import_columns``)."""
