"""Scores with confidence intervals, one family per file."""
