"""Training of the guided network and of the dense aligner that its guide comes from."""
