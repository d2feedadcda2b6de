"""WiWebb's Users API: users, tenants and authentication below /api/v1/."""
