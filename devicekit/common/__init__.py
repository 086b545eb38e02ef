"""What every room shares: errors, units, paths, provenance, number formats."""
