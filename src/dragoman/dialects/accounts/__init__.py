"""The accounts contract: sign-up, sign-in, users and their permissions below /api/users."""
