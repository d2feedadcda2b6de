"""Declarations of the commands: options, arguments and help texts."""
