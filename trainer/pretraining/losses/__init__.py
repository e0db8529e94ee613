"""What the student is asked for, one term a file; each is a function of arrays."""
