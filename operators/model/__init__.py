"""The model folder: digests, encoder, heads."""
