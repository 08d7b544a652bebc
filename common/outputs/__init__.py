"""What each task leaves of a case: its files, values and figure."""
