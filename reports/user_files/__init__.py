"""Files that users write: what kinds there are, how each is recognised, checked, begun and described."""
