"""Better Auth on Node, with its admin plugin and its own tables."""
