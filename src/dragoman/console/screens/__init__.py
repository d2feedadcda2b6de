"""The screens: each module has ``routes(directory)``, and a template of the same name."""

NAMES = ("overview", "people", "account", "sign_in")
