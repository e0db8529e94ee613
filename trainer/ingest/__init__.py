"""DICOM and NIfTI trees to shards of slices; the part of pre-training that reads medical files."""
