"""Pictures of a mesh."""
