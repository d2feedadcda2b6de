"""VSAY Terminal's Users API: users, invitations and sessions below /users and /auth."""

MAIL_LINKS = {"invitation": "/accept/{secret}"}
"""The pages that links in mails open, by the kind of the mail (see ``dialects.mail_links``)."""
