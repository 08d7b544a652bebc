"""Cards, and the tensors that belong to them: loading, fetching, fitting."""
