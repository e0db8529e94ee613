"""The main job on this machine: a real Orthanc, the bundled chest CT in, SEG and SR back."""
