"""Wekan's REST API, the users' part: /users/… to sign in, /api/user and /api/users."""
