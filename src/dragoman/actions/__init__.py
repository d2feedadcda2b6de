"""Layer 2: the actions. Each checks the policy, makes one change and writes the audit row."""
