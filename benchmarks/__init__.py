"""A/B measurements against the plain way; each file is one command, see README.md."""
