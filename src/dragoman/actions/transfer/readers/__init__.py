r"""Readers of files: they cut a file into records and name what cannot be read.

``detect.open_records`` finds out the format. What a reader promises:

- Memory is flat: a record has at most 1 MiB and 1,000 fields. A longer one ends the import.
- A record that cannot be read has a ``problem`` and its own bytes in ``raw``; reading goes on.
- Values of a table are strings; ``NULL`` and ``\N`` are None where they are not quoted.
- Values of JSON are what JSON says; values of LDIF are lists of strings, by lower-case names.
"""
