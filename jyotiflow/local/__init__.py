"""The local run: real servers and every process of the product on one machine. Not for production."""
