"""Pictures of a scan and of what was found in it: whole figures, and the parts they share."""
