"""Programs that score results against truth, one kind per file."""
