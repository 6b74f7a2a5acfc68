"""How dates and numbers are written, where Django's own formats say nothing."""
