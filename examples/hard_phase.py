"""The hard phase of compressed sensing: a better estimate exists, and AMP does not find it.

AMP comes from the right, from a large supposed error, and rests in the first minimum of the free energy; the lowest one is the
Bayes-optimal error. With few observations, and with many, they are the same one. In between they are not.
"""

import sys

from rmtp import amp

share, noise = 0.4, 1e-6
found = {delta: amp.landscape(delta, amp.bernoulli_gauss(share), noise, points=80) for delta in (0.45, 0.55, 0.65)}
for delta, landscape in found.items():
    print(
        f"delta = {delta}: Bayes-optimal error {landscape.bayes:.3g}, reached by AMP {landscape.algorithmic:.3g}"
        f"{', hard' if landscape.hard else ''}"
    )

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(15, 5, 1, 3)
        for ax, (delta, landscape) in zip(axes, found.items()):
            landscape.plot(ax=ax).set_title(f"{delta} observations per unknown", loc="left")
    fig.savefig(sys.argv[1])
