"""Import, export, backup and restore: readers of files, recipes, writers of chunks."""
