"""What a run leaves behind: result.json, summary.csv, tables, volumes, DICOM objects."""
