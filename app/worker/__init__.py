"""A warm process that serves study after study: ``python -m app.worker [-m MODEL] [--device D]``."""
