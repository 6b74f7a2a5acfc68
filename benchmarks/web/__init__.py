"""The product's web process, with two views beside its own to compare them with."""
