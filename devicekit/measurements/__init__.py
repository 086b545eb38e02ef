"""Foreign files in, one clean table of currents out."""
