"""The command line: the directory's administration from a terminal."""
