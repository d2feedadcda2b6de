"""Floor 2: the verbs. Each looks, requires, changes, and writes the history."""
