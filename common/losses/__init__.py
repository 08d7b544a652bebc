"""Losses that MONAI and torch do not have, one family per file."""
