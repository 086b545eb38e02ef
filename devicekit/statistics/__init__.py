"""What the cells of one state tell: mean, spread, their intervals, tails and variance components."""
