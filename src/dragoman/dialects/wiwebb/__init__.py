"""WiWebb's Users API: users, tenants and authentication below /api/v1/."""

MAIL_LINKS = {"reset": "/reset/{public_id}/{secret}"}
"""The pages that links in mails open, by the kind of the mail (see ``dialects.mail_links``)."""
