"""Lists of users: filters, ordering, pages and counters."""
