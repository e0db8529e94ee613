"""Heads as MONAI bundles."""
