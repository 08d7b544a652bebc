"""A scan in space: voxels with an affine, and all that is done on its grid."""
