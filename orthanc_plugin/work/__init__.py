"""One piece of work from queue to end, and which host does it."""
