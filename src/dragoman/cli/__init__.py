"""The terminal's face of the directory."""
