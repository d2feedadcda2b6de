"""Floor 3: HTTP tools without an opinion about any dialect."""
