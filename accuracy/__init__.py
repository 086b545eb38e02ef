"""What a network loses: quantise, map, analog arrays, calibrate, evaluate."""
