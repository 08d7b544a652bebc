"""What the user points at: files, folders, series and lists become named cases."""
