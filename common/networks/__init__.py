"""Published networks, one per file, and the bricks they share."""
