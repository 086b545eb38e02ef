"""How a reading is computed fast, and what counts its values."""
