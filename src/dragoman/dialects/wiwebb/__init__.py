"""WiWebb's Users API: users, tenants and authentication below /api/v1/."""

MAIL_LINKS = {"reset": "/reset/{public_id}/{secret}"}
"""The pages that links in mails open, by the kind of the mail (see ``dialects.mail_links``)."""

IMPORT_COLUMNS = {
    "is_active": "active",
    "phone_number": "phone",
    "date_joined": "created_at",
    "last_login": "last_login_at",
}
"""Names of columns and fields that imports understand (see ``dialects.import_columns``)."""
