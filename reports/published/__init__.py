"""Published figures and tables, computed again: `devicekit reproduce`."""
