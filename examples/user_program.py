"""Your own program: write NumPy, ask for the limit, compare with finite arrays.

`network` is plain NumPy. Given symbolic vectors it builds a program, given arrays it computes.
From the shell:  rmtp limit user_program.py:overlap   and   rmtp verify user_program.py:overlap
"""

import sys

import numpy as np

import rmtp


def network(W, x):
    """Encode, clip, decode with the same weights, normalise."""
    code = np.clip(W @ x, -1, 1)
    back = W.T @ code
    return back / np.sqrt(np.mean(back**2))


n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=3)  # three times as many hidden units
W, x = rmtp.Gaussian(m, n, name="W"), rmtp.Normal(n, name="x")
overlap = np.mean(x * network(W, x))

if __name__ == "__main__":
    print(rmtp.program(overlap))
    print("limit:", rmtp.limit(overlap))
    print("naive:", rmtp.limit(overlap, gradient_independence=True))

    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((3000, 1000)) / 1000**0.5, rng.standard_normal(1000)
    print("the same function on arrays:", np.mean(arrays[1] * network(*arrays)))
    if len(sys.argv) > 1:
        from rmtp import plots

        with plots.style():
            fig, ax = plots.figure()
            rmtp.verify(overlap, widths=(100, 200, 400)).plot(ax).set_ylabel("overlap of input and output")
        fig.savefig(sys.argv[1])
