"""Readers of files: they cut a file into records and name what cannot be read."""
