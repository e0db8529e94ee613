"""Curia in Orthanc: a thin plugin inside (plugin.py) and the service beside it (everything else)."""
