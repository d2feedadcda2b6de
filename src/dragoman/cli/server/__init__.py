"""The server process: workers, port and graceful shutdown. See README.md."""

import os

# Granian's allocator (jemalloc) keeps freed memory for reuse and gives it back only while it is
# busy: 2,000 connections with unfinished headers left 150 MB behind. It reads this once, when
# Granian is imported, so it must be set before. An operator's own value stays.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:100,muzzy_decay_ms:0")
