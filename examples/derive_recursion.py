"""State evolution as a paper prints it: derived from the algorithm, typeset, and followed beside the algorithm itself."""

import sys
from functools import partial

import numpy as np

import rmtp
from rmtp.amp import amp, linear_model, soft, three_point

delta, sigma, alpha, rho = (rmtp.symbol(s) for s in ("delta", "sigma", "alpha", "rho"))
found = rmtp.derive_recursion(partial(amp, denoiser=soft(alpha)), linear_model(delta, three_point(rho), sigma**2))
print(found)
print(found.latex())

values = {"delta": 0.5, "sigma": 0.1, "alpha": 1.5, "rho": 0.1}
steps = 12
curve = found.evaluate(steps, **values)
model = linear_model(values["delta"], three_point(values["rho"]), values["sigma"] ** 2)
runs = rmtp.simulate(partial(amp, denoiser=soft(values["alpha"])), model, steps, width=2000, trials=4, rng=0)
print("largest z-score:", np.abs((runs.mean()[1:] - curve[1:]) / runs.se()[1:]).max().round(2))

if len(sys.argv) > 1:
    from rmtp import plots

    figure, axes = plots.figure()
    axes.plot(range(steps + 1), curve, label="derived recursion")
    axes.errorbar(
        range(steps + 1), runs.mean(), 2 * runs.se(), fmt="o", label="four runs at n = 2000, two standard errors"
    )
    rows = [r for r in found.latex().splitlines() if "_{t" in r]
    text = "\n".join("$" + r.replace("&", "").replace("\\\\", "").strip() + "$" for r in rows)
    axes.text(0.3, 0.55, text, transform=axes.transAxes, fontsize=14, linespacing=2.0, va="center")
    axes.set_xlabel("step t")
    axes.set_ylabel("mean squared error per coordinate")
    axes.set_ylim(0, None)
    axes.legend()
    figure.savefig(sys.argv[1])
