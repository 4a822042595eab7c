"""Sums of Haar orthogonal matrices and their transposes: arcsine for one, Kesten-McKay for more.

U + U.T + V + V.T has the spectrum of a random 4-regular graph, inside 2 sqrt(3).
"""

import sys

import rmtp

n = rmtp.Dim("n")
U = [rmtp.Haar(n, name=f"U{k}") for k in range(3)]
laws = {2 * k: rmtp.spectrum(sum(u + u.T for u in U[:k])) for k in (1, 2, 3)}

for degree, law in laws.items():
    print(f"degree {degree}: right edge {law.support()[0][1]:.9f} = {2 * (degree - 1) ** 0.5:.9f}, ", end="")
    print("closed walks", [int(law.moment(k)) for k in (2, 4, 6, 8)])

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(14, 4.8, 1, 3)
        for ax, (degree, law) in zip(axes, laws.items()):
            law.plot(ax=ax).set_title("arcsine" if degree == 2 else f"Kesten-McKay, degree {degree}")
    fig.savefig(sys.argv[1])
