"""A program as numbered lines, as LaTeX, and the law of a vector: Z = Zhat + Z-Dot."""

import sys

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

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure(8.4, 4.8)
        law.plot(ax=ax, width=4000, label="limit")
        ax.set_title(f"${law.latex}$", loc="left", fontsize=13)
        ax.set_xlabel("a coordinate of b = W.T tanh(W x)")
    fig.savefig(sys.argv[1])
