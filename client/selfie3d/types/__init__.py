"""The types that all parts share: numpy only."""
