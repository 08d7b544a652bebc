"""From a stored volume to network input, and back to the input grid."""
