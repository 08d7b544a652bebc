"""Ignite handlers that all bundles share."""
