"""Weights: where they lie, what they must hash to, how they are read."""
