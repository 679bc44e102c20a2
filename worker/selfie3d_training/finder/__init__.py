"""Training of the face finder: detector and aligner."""
