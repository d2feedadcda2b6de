"""Layer 0, the domain rules. Pure: no I/O, no clock, no SQL, no HTTP."""
