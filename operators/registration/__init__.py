"""Two feature volumes to a transform, on torch tensors; no DICOM."""
