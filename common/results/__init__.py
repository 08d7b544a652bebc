"""What a run leaves behind: result.json, summary.csv, figures, DICOM objects."""
