"""One self-hosted user directory that speaks the Users APIs which applications already have."""

__version__ = "0.1.0"
