"""The Python behind the bundles: parts that their JSON composes by ``_target_``."""
