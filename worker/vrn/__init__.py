"""One photo of a face in, a coloured 3D mesh out. Pure: no queue, no network, no environment."""
