"""The training objectives, one a file; each is a function of arrays."""
