"""Published label and report tables of public CT data sets."""
