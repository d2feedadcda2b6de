"""Binacle.Net's service module: tokens and users below /api/."""
