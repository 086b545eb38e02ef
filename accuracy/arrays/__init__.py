"""Arrays of programmed cells and how they are read."""
