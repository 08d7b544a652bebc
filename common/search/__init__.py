"""Finding scans by their embeddings: the nearest of a gallery, exactly or approximately."""
