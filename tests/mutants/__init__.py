"""Planted bugs: one-line changes of the product, each of which the suite must notice. ``make mutants``."""
