"""Find what is alike: a place in one scan in others, a scan among many."""
