"""What other scanners and protocols would have made of the same slice, in batches of torch tensors."""
