"""Building the embedded model from open data."""
