"""Singular values of a random network's Jacobian J = W3 D3 W2 D2 W1 D1, D_l = diag(relu'(h_l)).

The same matrices carry the signal forward and the probe z back and forth. That the D_l may be treated as independent of
the W_l is not put in: it comes out. For s^2 = 2 and depth 3 the moments of J.T J are 1, 7, 67, 741.
"""

import sys

import numpy as np

import rmtp

n = rmtp.Dim("n")
Ws = [rmtp.Gaussian(n, n, variance=2, name=f"W{layer}") for layer in (1, 2, 3)]

h, masks = rmtp.Normal(n, name="h1"), []
for W in Ws:
    masks.append(np.heaviside(h, 0))
    h = W @ rmtp.relu(h)

v = rmtp.Normal(n, name="v")
z, moments = v, []
for _ in range(4):
    for W, mask in zip(Ws, masks):
        z = W @ (mask * z)
    for W, mask in zip(reversed(Ws), reversed(masks)):
        z = mask * (W.T @ z)
    moments.append(np.mean(v * z))

print("moments of J.T J:", [str(answer.value) for answer in rmtp.limit(moments, exact=True)])

if len(sys.argv) > 1:
    check = rmtp.verify(moments[1], widths=(100, 200, 400), trials=200)
    print(check)
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        check.plot(ax).set_ylabel("second moment of J.T J")
    fig.savefig(sys.argv[1])
