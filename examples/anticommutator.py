"""One law in five disguises.

The anticommutator of two symmetric matrices, the self-commutator of a square one, W^2 + (W.T)^2, a product of two plus its
transpose, and a difference of squares: five expressions, one sequence of free cumulants 0, 2, 0, 2, ...
"""

import sys

import rmtp

n = rmtp.Dim("n")
X, Y = rmtp.GOE(n, name="X"), rmtp.GOE(n, name="Y")
V, W = rmtp.Gaussian(n, n, name="V"), rmtp.Gaussian(n, n, name="W")
disguises = (X @ Y + Y @ X, W @ W.T - W.T @ W, W @ W + W.T @ W.T, V @ W + (V @ W).T, X @ X - Y @ Y)

laws = [rmtp.spectrum(M) for M in disguises]
for law in laws:
    print(
        f"{law.text:22s} moments {[int(law.moment(k)) for k in (2, 4, 6, 8)]}, g(1 + i/10) = {law.stieltjes(1 + 0.1j):.12f}"
    )
print("support", laws[0].support(), "density at 1:", laws[0].pdf(1.0))

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure(9, 5.4)
        for k, law in enumerate(laws):
            ax.hist(
                law.sample(1000, rng=k), 50, density=True, histtype="step", color=plots.PALETTE[k + 1], label=law.text
            )
        plots.spectral_law(laws[0], ax, None)
    fig.savefig(sys.argv[1])
