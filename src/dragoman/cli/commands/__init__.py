"""The command line's commands: options, arguments and help."""
