"""VSAY Terminal's Users API: users, invitations and sessions below /users and /auth."""
