"""MONAI engines that know what a case is."""
