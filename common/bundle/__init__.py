"""A bundle as a whole: where it is, its command line, catalog, packing and checks."""
