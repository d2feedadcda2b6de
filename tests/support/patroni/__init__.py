"""A PostgreSQL cluster under Patroni, each machine in a network namespace of its own."""
