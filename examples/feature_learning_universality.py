"""A training run does not ask for the law of the weights: Rademacher and uniform entries have the limit of Gaussian ones.

Golikov & Yang 2022. Outputs of networks with two tanh layers in the course of SGD, over the limit that the engine derives.

"""

import sys

import numpy as np

import rmtp
from rmtp.networks import mlp, verify_kernels
from rmtp.training import draw_networks, feature_learning, named

x, y, test = np.array([[1.0, 0.4], [-0.6, 0.9]]), np.array([1.0, -1.0]), np.array([[0.5, -0.5]])
LAWS, STEPS, RATE, DRAWS = ("gaussian", "rademacher", "uniform"), 6, 0.7, 150

run = feature_learning(x, y, test, depth=2, learning_rate=RATE, steps=STEPS)
limit, error = np.asarray(run.test.value[:, 0], float), np.asarray(run.test.error[:, 0], float)


def trained(width, law, rng):
    nets = draw_networks(named("mup", 2), width, 2, DRAWS, rng, entries=law)
    out = [nets.outputs(test)[:, 0]]
    for step in range(STEPS):
        i = [step % len(x)]
        nets = nets.step(x[i], nets.outputs(x[i]) - y[i], RATE)
        out.append(nets.outputs(test)[:, 0])
    return np.array(out)


drawn = {law: {n: trained(n, law, 10 * k + n) for n in (50, 100, 200)} for k, law in enumerate(LAWS)}
for law, by_width in drawn.items():
    last = rmtp.Verification(
        rmtp.Estimate(limit[-1], error[-1], "sobol"), tuple(by_width), tuple(v[-1] for v in by_width.values()), "f"
    )
    kernel = verify_kernels(
        mlp(rmtp.Dim("n"), 2, np.tanh), x, widths=(100, 200, 400), trials=60, kernels="ntk", entries=law
    )
    value, se = last.extrapolated
    print(
        f"{law:<10} f after {STEPS} steps {value:.4f} ± {se:.4f}, limit {limit[-1]:.4f}, z = {last.score:+.1f}; "
        f"tangent kernel at initialisation: largest |z| {kernel.score:.1f}, {'agrees' if kernel.passed() else 'DISAGREES'}"
    )

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        ax.plot(limit, color=plots.PALETTE[6], label="limit, for every law")
        for k, (law, by_width) in enumerate(drawn.items()):
            values = by_width[200]
            at = np.arange(STEPS + 1) + 0.12 * (k - 1)
            bar = 2 * values.std(axis=1) / DRAWS**0.5
            ax.errorbar(
                at, values.mean(axis=1), bar, fmt="os^"[k], color=plots.PALETTE[k], capsize=4, label=f"{law} entries"
            )
        ax.set(xlabel="steps of SGD", ylabel="output at a test point, mean of 150 draws")
        ax.set_title("width 200, two standard errors", loc="left", fontsize=13)
        ax.legend()
    fig.savefig(sys.argv[1])
