"""From a field to a coloured mesh: surface, landmarks, colours, texture, printable solid."""
