"""Limits as the equations that a paper prints: the theorem's walk over numbers that have names instead of values."""
