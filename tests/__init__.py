"""The tests; they mirror the tree of ``src/dragoman``."""
