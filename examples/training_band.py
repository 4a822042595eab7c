"""A hundred networks of width 256, trained by gradient descent, inside the band that infinitely wide ones have at every step.

Left: outputs of 30 of them at three stages. Right: their losses beside the mean over initialisations, in closed form, for three
optimisers at the same learning rate; the dashed line is the gradient flow that is usually taken for gradient descent. Losses of
networks spread by a factor when they are small: they fall at the rates of a kernel that is random at width 256.
"""

import sys

import numpy as np
from scipy.special import erf

import rmtp
from rmtp.training import GradientDescent, HeavyBall, Nesterov, ensemble, linearised, train

n = rmtp.Dim("n")


def net(x):
    for _ in range(2):
        x = erf(rmtp.networks.dense(x, n, 1.5, 0.5))
    return rmtp.readout(x)


x = np.array([-1.5, -0.9, -0.3, 0.4, 1.1])[:, None]
y = np.sin(2 * x[:, 0])
grid = np.linspace(-2.2, 2.2, 61)[:, None]

model = linearised(net, x, y, grid)
many = ensemble(net, 256, 100, 0, (1,))
rate = 0.4 * model.max_learning_rate()
print(f"critical learning rate {model.max_learning_rate():.4f} (sum over samples), taken {rate:.4f}")

STAGES = (0, 3, 40)
path = model.gradient_descent(STAGES, rate)
done = train(many, x, y, GradientDescent(), STAGES, rate, x_test=grid)
for k, step in enumerate(STAGES):
    f = done.test[:, k]
    z = (f.mean(axis=0) - path.mean[k]) / (path.std[k] / 10)
    inside = np.mean(np.abs(f - path.mean[k]) < 2 * path.std[k])
    print(
        f"step {step:3d}: mean off by {np.sqrt(np.mean(z**2)):.2f} standard errors, {100 * inside:.1f} % within two sd"
    )

steps = np.arange(41)
optimisers = {"gradient descent": GradientDescent(), "heavy ball 0.8": HeavyBall(0.8), "Nesterov 0.8": Nesterov(0.8)}
few, losses = many.part(slice(30)), {}
for name, optimiser in optimisers.items():
    theory, seen = model.run(optimiser, steps, rate).loss, train(few, x, y, optimiser, steps, rate).loss
    losses[name] = theory, seen
    print(
        f"{name:16s} loss at step 40: {theory[-1]:.5f}, networks {seen[:, -1].mean():.5f} ± {seen[:, -1].std() / 30**0.5:.5f}"
    )
flow = model.flow(steps, rate)
gap = np.abs(model.gradient_descent(steps, rate).train_mean - flow.train_mean).max()
print(f"mean output of the flow off by up to {gap:.3f} at training points")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(13.5, 5.2, 1, 2)
        for k in range(len(STAGES)):
            axes[0].plot(grid, done.test[:30, k].T, color=plots.PALETTE[k], linewidth=0.5, alpha=0.45)
        path.plot(ax=axes[0])
        axes[0].set_ylim(-2, 3.6)
        axes[0].legend(loc="upper left", ncols=2, fontsize=11)
        axes[0].set_title("networks of width 256 in the limit's band", loc="left")
        for k, (name, (theory, seen)) in enumerate(losses.items()):
            axes[1].plot(steps, seen.T, color=plots.PALETTE[k], linewidth=0.5, alpha=0.3)
            axes[1].plot(steps, theory, color=plots.PALETTE[k], label=name)
        axes[1].plot(steps, flow.loss, "--", color="black", linewidth=1.6, label="gradient flow")
        axes[1].set_yscale("log")
        axes[1].set_ylim(2e-4, 20)
        axes[1].set_xlabel("step")
        axes[1].set_ylabel(r"training loss $\frac{1}{2}\sum (f - y)^2$")
        axes[1].legend()
        axes[1].set_title("the limit's mean loss (bold), 30 networks of width 256", loc="left", fontsize=14)
    fig.savefig(sys.argv[1])
