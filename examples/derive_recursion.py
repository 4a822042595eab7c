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

    with plots.style():
        fig, ax = plots.figure(8.4, 5)
        ax.plot(range(steps + 1), curve, label="derived recursion")
        ax.errorbar(
            range(steps + 1), runs.mean(), 2 * runs.se(), fmt="o", capsize=3, label="four runs at n = 2000 ± 2 se"
        )
        rows = [r for r in found.latex().splitlines() if "_{t" in r]
        text = "\n".join("$" + r.replace("&", "").replace("\\\\", "").strip() + "$" for r in rows)
        ax.text(0.3, 0.55, text, transform=ax.transAxes, fontsize=15, linespacing=2.0, va="center")
        ax.set_xlabel("step t")
        ax.set_ylabel("mean squared error per coordinate")
        ax.set_ylim(0, None)
        ax.legend()
    fig.savefig(sys.argv[1])
