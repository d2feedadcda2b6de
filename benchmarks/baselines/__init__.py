"""Baselines: the same work as Dragoman's without its rules, as upper bounds."""
