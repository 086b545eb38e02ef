"""Layers of a network on arrays, and the conversion of a network."""

from accuracy.layers.layer_state import Mode

__all__ = ["Mode"]
