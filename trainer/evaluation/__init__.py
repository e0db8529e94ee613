"""Figures on patients that were not fitted on."""
