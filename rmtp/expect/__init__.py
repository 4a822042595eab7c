"""Gaussian expectations: algebra, closed forms, quadrature, Mehler series, Sobol points."""
