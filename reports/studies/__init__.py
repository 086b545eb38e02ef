"""What a study may ask: values that vary, budgets and objectives. Nothing here runs anything."""
