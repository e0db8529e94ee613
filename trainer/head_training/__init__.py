"""``python -m trainer head``: from a table of labelled studies to a head's folder."""
