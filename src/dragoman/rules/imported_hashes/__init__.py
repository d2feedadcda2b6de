"""Password hashes of other systems: spellings, limits and verification.

``verification`` and ``judgement`` are imported only when such a hash occurs.
"""
