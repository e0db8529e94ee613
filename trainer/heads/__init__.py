"""Fitting heads on frozen features."""
