"""VSAY Terminal's Users API: users, invitations and sessions below /users and /auth."""

MAIL_LINKS = {"invitation": "/accept/{secret}"}
"""The pages that links in mails open, by the kind of the mail (see ``dialects.mail_links``)."""

IMPORT_COLUMNS = {"last_login": "last_login_at"}
"""Names of columns and fields that imports understand (see ``dialects.import_columns``)."""
