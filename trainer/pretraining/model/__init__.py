"""Encoder, heads and the pair of student and teacher."""
