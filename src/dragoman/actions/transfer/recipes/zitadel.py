"""Zitadel: the body of its administrative import, and what its export answers."""

from __future__ import annotations

from dragoman.actions.transfer.recipes.recipe import Recipe, first_of, when

RECIPE = Recipe(
    name="zitadel",
    product="Zitadel",
    formats=("json",),
    list_paths=(
        "data_orgs.orgs.humanUsers",
        "dataOrgs.orgs.humanUsers",
        "orgs.humanUsers",
        "org.humanUsers",
    ),
    recognised_by=frozenset({"userId", "user"}),
    fields={
        "username": "user.userName",
        "email": "user.email.email",
        "verified": "user.email.isEmailVerified",
        "first_name": "user.profile.firstName",
        "last_name": "user.profile.lastName",
        "display_name": "user.profile.displayName",
        "phone": "user.phone.phone",
    },
    # A password in clear is refused where all hashes are judged.
    password_hash=first_of("user.hashedPassword.value", "user.password"),
    warn=(
        when("user.idps", "links to identity providers are not taken over"),
        when("user.otpCode", "second factors are not taken over"),
        when("user.requestPasswordlessRegistration", "passkeys are not taken over"),
    ),
    export='POST /admin/v1/export with {"withPasswords": true}  # Zitadel 2',
)
