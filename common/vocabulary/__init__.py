"""Names and codes: findings of chest and head, structures with their SNOMED terms and colours."""
