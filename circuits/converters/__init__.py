"""ADCs as built: what mismatch makes of each one, how it converts, and its netlist."""
