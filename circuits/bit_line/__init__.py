"""Currents of a resistive bit line: exact solutions, their kernels, SPICE and where they hold."""
