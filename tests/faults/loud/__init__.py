"""The product with parts that fail loudly: every error holds the person's address and words."""
