"""Recipes: what the records of other products mean; the only place that names products here."""
