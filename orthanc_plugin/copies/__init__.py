"""Copies of the results for other archives."""
