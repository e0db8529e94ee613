"""Pre-training of the encoder: DINOv2's student and teacher with Curia-2's four changes (docs/pre-training.md)."""
