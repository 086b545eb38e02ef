"""What to build: studies over designs, joint tables, figures, the page and the command."""
