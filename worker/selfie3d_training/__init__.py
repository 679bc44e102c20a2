"""Photos with fitted heads in, weights out. Imports vrn and nothing else of the project."""
