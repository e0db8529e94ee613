"""What a study, its work and its objects are; pure functions on what Orthanc says of them."""
