"""Layers of a network on arrays, and the conversion of a network."""
