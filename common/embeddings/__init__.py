"""Embeddings of cases: the table, its labels, and who is near whom."""
