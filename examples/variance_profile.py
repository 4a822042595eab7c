"""Block matrices: a variance profile over three groups, and a bipartite graph's adjacency.

Each block has its own variance, each group its own size; the law is that of the whole matrix.
"""

import sys
from fractions import Fraction

import rmtp

groups = [rmtp.Dim("a"), rmtp.Dim("b", Fraction(1, 2)), rmtp.Dim("c", 2)]
variances = [[1, 3, 0], [3, 2, Fraction(1, 4)], [0, Fraction(1, 4), Fraction(1, 2)]]  # times 1/(size of a)

grid = [[0] * 3 for _ in groups]
for i, rows in enumerate(groups):
    grid[i][i] = rmtp.GOE(rows, variance=variances[i][i] * rows.ratio)
    for j in range(i):
        if variances[i][j]:
            grid[i][j] = rmtp.Gaussian(rows, groups[j], variance=variances[i][j] * groups[j].ratio)
            grid[j][i] = grid[i][j].T
profile = rmtp.spectrum(rmtp.block(grid))

W = rmtp.Gaussian(groups[2], groups[1])
bipartite = rmtp.spectrum(rmtp.block([[0, W], [W.T, 0]]))
for name, law in (("profile", profile), ("bipartite", bipartite)):
    print(name, law.support(), [(a.x, round(a.mass, 9)) for a in law.atoms], "moments", law.moment(2), law.moment(4))

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(12, 4.8, 1, 2)
        profile.plot(ax=axes[0], width=600).set_title("variance profile")
        bipartite.plot(ax=axes[1], width=600).set_title("[[0, W], [W.T, 0]]")
    fig.savefig(sys.argv[1])
