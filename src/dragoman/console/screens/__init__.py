"""The screens: each module has ``routes(console)``, and a template of the same name."""

NAMES = (
    "overview",
    "people",
    "person",
    "invitations",
    "tenants",
    "groups",
    "history",
    "account",
    "sign_in",
)
