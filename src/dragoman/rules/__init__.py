"""Floor 0: what is true. Pure: no I/O, no clock, no SQL, no HTTP."""
