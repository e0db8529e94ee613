"""Scans and what encoders, and what is compared with them, make of them."""
