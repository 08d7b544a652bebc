"""The synthetic patient: anatomy, findings and their truth, drawn from a seed."""
