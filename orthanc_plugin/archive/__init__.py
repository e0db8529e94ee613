"""Orthanc as the service sees it: reading studies, storing results."""
