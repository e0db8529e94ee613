"""What the student and the teacher are shown of a slice: crops, masks, batches."""
