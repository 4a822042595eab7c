"""The theorem on implicit programs: the Dyson equation."""
