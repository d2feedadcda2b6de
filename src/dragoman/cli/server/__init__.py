"""The server process: workers, port and graceful shutdown. See README.md."""
