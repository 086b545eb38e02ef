"""What a memory cell is: error models, mean shifts, retention, temperature, and the files that hold them."""
