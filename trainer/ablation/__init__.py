"""What each of Curia-2's four changes does for a small encoder: cells to train, probes, a table and a figure."""
