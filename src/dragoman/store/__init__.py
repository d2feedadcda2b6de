"""Floor 1: what is remembered. The only SQL of the project."""
