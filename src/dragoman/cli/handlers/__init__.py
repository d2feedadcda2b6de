"""Implementations of the commands, one module per noun; imported only when a command runs."""
