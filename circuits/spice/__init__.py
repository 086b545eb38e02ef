"""ngspice in a process of its own."""
