"""Writing model folders."""
