"""What a core costs: components with provenance, counts, energy, area, latency."""
