"""Building blocks of actions. Only actions may import them: they change things without asking the policy."""
