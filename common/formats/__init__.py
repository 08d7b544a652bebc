"""How a CT scan lies on disk: one format per file, each read into a Volume."""
