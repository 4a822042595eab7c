"""Order and chaos in deep tanh networks, and how deep a network can be before it forgets what it was shown.

Left: chi, the growth of squared gradients per layer, over the stds of weights and biases; on the line chi = 1. Right: the
correlation of two inputs on its way to its fixed point, layer by layer. Points are networks of width 600 (those within
two standard errors of the limit are left out), lines the map in infinite width, dashes exp(-layers / depth scale). On the
critical line there is no scale, and the decay is a power.
"""

import sys

import numpy as np

from rmtp import networks as nets

WIDTH, DRAWS, LAYERS, START = 600, 30, 30, 0.6
rng = np.random.default_rng(0)

(critical,), (bias_std,) = nets.edge_of_chaos(np.tanh, [0.75])
stds = {"ordered": 1.1, "critical": float(critical), "chaotic": 1.9}


def drawn(q, weight_std):
    """Correlations of two preactivations after 0, 1, .. layers of finite networks: axes (draw, layer)."""
    out = np.empty((DRAWS, LAYERS + 1))
    for each in out:
        u, v = rng.standard_normal((2, WIDTH)) * q**0.5
        h = np.stack([u, START * u + (1 - START**2) ** 0.5 * v], axis=1)
        for layer in range(LAYERS + 1):
            each[layer] = h[:, 0] @ h[:, 1] / np.sqrt((h[:, 0] @ h[:, 0]) * (h[:, 1] @ h[:, 1]))
            W = rng.standard_normal((WIDTH, WIDTH)) * weight_std / WIDTH**0.5
            h = W @ np.tanh(h) + bias_std * rng.standard_normal((WIDTH, 1))
    return out


print(f"bias std {bias_std:.4f}; correlation {START} at the start")
curves = {}
for name, weight_std in stds.items():
    p = nets.propagation(np.tanh, weight_std, bias_std)
    q = p.q
    correlations = [START]
    for _ in range(LAYERS):
        correlations.append(float(nets.correlation_map(np.tanh, min(correlations[-1], 1.0), q, weight_std, bias_std)))
    finite = drawn(q, weight_std)
    curves[name] = p, np.array(correlations), finite
    mean, error = finite.mean(axis=0), finite.std(axis=0, ddof=1) / DRAWS**0.5
    late = slice(3, 16)
    gap = np.abs(mean - p.correlation)
    slope = np.polyfit(np.arange(LAYERS + 1)[late], np.log(gap[late]), 1, w=(gap / error)[late])[0]
    measured = f"measured {-1 / slope:.1f}" if name != "critical" else "a power of depth"
    print(
        f"{name:<8} weight std {weight_std:.3f}: chi {p.chi:.4f}, correlation tends to {p.correlation:.4f}, "
        f"depth scale {p.depth_c:.1f}, {measured}; layers 10, 30: {mean[10]:.4f} ± {error[10]:.4f}, {mean[30]:.4f} ± "
        f"{error[30]:.4f}, infinite width {correlations[10]:.4f}, {correlations[30]:.4f}"
    )

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, (left, right) = plots.figure(13, 5, 1, 2)
        nets.phase_diagram(np.tanh, np.linspace(0.6, 2.6, 21), np.linspace(0.02, 0.8, 11), left)
        lengths = np.geomspace(1e-4, 3, 60)
        left.plot(*nets.edge_of_chaos(np.tanh, lengths), color="black", label=r"$\chi = 1$")
        left.set(xlim=(0.6, 2.6), ylim=(0.02, 0.8), title="phases of tanh networks")
        layers = np.arange(LAYERS + 1)
        for (name, (p, correlations, finite)), colour in zip(curves.items(), plots.PALETTE):
            left.plot(stds[name], bias_std, "o", color=colour, markeredgecolor="white", markersize=10)
            gap, error = np.abs(finite.mean(axis=0) - p.correlation), finite.std(axis=0, ddof=1) / DRAWS**0.5
            seen = gap > 2 * error
            right.plot(layers[seen], gap[seen], "o", color=colour, markersize=5)
            right.plot(layers, np.abs(correlations - p.correlation), color=colour, label=name)
            if np.isfinite(p.depth_c):
                at = 10
                scale = abs(correlations[at] - p.correlation)
                right.plot(layers, scale * np.exp((at - layers) / p.depth_c), "--", color=colour, linewidth=1.2)
        right.set(yscale="log", xlabel="layer", ylabel="distance from the limit", ylim=(1e-4, 1))
        right.set_title("width 600 (points), infinite width (lines)")
        right.legend(loc="lower left")
        left.legend(loc="upper left")
    fig.savefig(sys.argv[1])
