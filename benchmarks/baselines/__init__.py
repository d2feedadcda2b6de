"""What nothing of this kind can be faster than: the same work without a directory around it."""
