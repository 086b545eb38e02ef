"""Exact arithmetic: weights to cells, inputs to slices, currents to codes."""
