"""Odoo: the table ``res_users``, joined with ``res_partner``.

Its columns are too common to be recognised: ``--from odoo`` is needed.
"""

from __future__ import annotations

from dragoman.actions.transfer.recipes.recipe import SECOND_FACTOR, Recipe, when

RECIPE = Recipe(
    name="odoo",
    product="Odoo",
    formats=("csv", "tsv"),
    fields={
        "username": "login",
        "email": "email",
        "display_name": "name",
        "active": "active",
        "created_at": "create_date",
    },
    password_hash="password",
    warn=(when("totp_secret", SECOND_FACTOR),),
    export="SELECT … FROM res_users u JOIN res_partner p ON p.id = u.partner_id, as CSV",
)
