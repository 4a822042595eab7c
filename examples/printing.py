"""A program as numbered lines, as LaTeX, and the law of a vector: Z = Zhat + Z-Dot."""

import numpy as np

import rmtp

n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)
W, x = rmtp.Gaussian(m, n, name="W"), rmtp.Normal(n, name="x")

y = np.tanh(W @ x).named("y")
b = (W.T @ y).named("b")
size = np.mean(b**2)

print(rmtp.program(size))
print()
print(rmtp.program(size).latex())

law = rmtp.limit(b)
print(law)
print("in LaTeX:", law.latex)
print("coefficients of Z-Dot:", {name: str(value) for name, value in law.zdot.items()})
print("E |b| =", law.expect(np.abs))
print("three samples of Z:", law.rvs(3, rng=0).round(3))
