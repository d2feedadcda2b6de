"""Layer 3, beside web: what runs without a request (mail, housekeeping, bootstrap, doctor)."""
