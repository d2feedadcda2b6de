"""Layer 3, beside web: work that no request asks for (mail, cleanup, bootstrap, doctor)."""
