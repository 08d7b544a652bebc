"""What is known of a case, one kind per file."""
