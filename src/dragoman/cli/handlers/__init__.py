"""What each command does: calls the actions and prints the result."""
