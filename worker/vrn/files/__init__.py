"""Mesh and volume files."""
