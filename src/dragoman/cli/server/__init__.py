"""Run the server: workers, the port, and a clean stop."""
