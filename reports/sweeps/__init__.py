"""Studies of many points: what they are, how they are run and kept, and what follows from them."""
