"""Figures: what they show is what was computed, and matplotlib stays away until it is asked for."""

from __future__ import annotations

import base64
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.stats
from scipy.special import ndtr

import rmtp
from rmtp import plots
from rmtp.errors import BadParameter


@pytest.fixture
def ax():
    return plots.figure()[1]


def setting():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="x")
    return n, W, x


def curve(ax, label="limit Z"):
    (line,) = [item for item in ax.get_lines() if item.get_label() == label]
    return line.get_xdata(), line.get_ydata()


def test_import_rmtp_leaves_matplotlib_alone():
    code = "import sys, rmtp; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys, rmtp.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_gaussian_law_is_drawn_exactly(ax):
    _, W, x = setting()
    z, density = curve(plots.plot_zlaw(rmtp.limit(W.T @ (W @ x) + 3), ax))
    assert np.allclose(density, scipy.stats.norm(3, np.sqrt(2)).pdf(z), rtol=1e-12)


def test_a_smoothed_density_is_near_the_true_one(ax):
    """exp(Wx/2) is lognormal; smoothing costs less than 3 % of the peak anywhere."""
    _, W, x = setting()
    z, density = curve(plots.plot_zlaw(rmtp.limit(np.exp(0.5 * (W @ x))), ax))
    true = scipy.stats.lognorm(0.5).pdf(z)
    assert np.abs(density - true).max() < 0.03 * true.max()
    assert abs(np.trapezoid(density, z) - 1) < 0.005


def test_a_hard_edge_keeps_its_density(ax):
    """ndtr(Wx) is uniform on (0, 1), up to both edges."""
    _, W, x = setting()
    z, density = curve(plots.plot_zlaw(rmtp.limit(ndtr(W @ x)), ax))
    assert z[0] < 0.01 and z[-1] > 0.99
    assert np.abs(density - 1).max() < 0.05


def test_atoms_are_stems(ax):
    _, W, x = setting()
    plots.plot_zlaw(rmtp.limit(rmtp.relu(W @ x)), ax, width=300)
    z, density = curve(ax)
    assert abs(np.trapezoid(density, z) - 0.5) < 0.01  # the other half sits at 0
    (stem,) = [item for item in ax.get_lines() if len(item.get_xdata()) == 1 and item.get_markerfacecolor() != "none"]
    assert stem.get_xdata()[0] == 0 and abs(stem.get_ydata()[0] - 0.5) < 0.005


def test_laws_of_atoms_only_and_of_constants(ax):
    n, _, _ = setting()
    plots.plot_zlaw(rmtp.limit(rmtp.IID(n, [0, 1, 1, 3])), ax, width=50)
    assert ax.get_ylabel() == "probability of atoms"
    plots.plot_zlaw(rmtp.limit(rmtp.constant(n, 2)), plots.figure()[1])


def test_the_histogram_is_of_one_draw(ax):
    _, W, x = setting()
    plots.plot_zlaw(rmtp.limit(np.tanh(W @ x)), ax, width=700)
    (bars,) = ax.patches
    heights, edges, _ = bars.get_data()
    assert 0.98 < np.sum(heights * np.diff(edges)) <= 1 + 1e-12
    assert "700" in bars.get_label()
    with pytest.raises(BadParameter):
        plots.plot_zlaw(rmtp.limit(W @ x).zhat, width=100)


def test_verification(ax):
    _, W, x = setting()
    check = rmtp.verify(np.mean((W @ x) ** 2), (20, 40, 80), 20)
    assert check.plot(ax) is ax
    (points,) = ax.containers
    assert np.array_equal(points[0].get_xdata(), check.widths)
    assert np.allclose(points[0].get_ydata(), check.mean)
    (bars,) = points[2]
    assert np.allclose([seg[1, 1] - seg[0, 1] for seg in bars.get_segments()], 4 * check.se)
    assert ax.get_xscale() == "log" and "width n" in ax.get_xlabel()
    n = np.geomspace(20, 80, 100)
    value, _ = check.extrapolated
    _, fitted = curve(ax, r"fit $L + c/n$")
    assert np.ptp((fitted - value) * n) < 1e-9  # the fit drawn is L + c/n with the L of the verdict


def test_the_error_of_a_limit_is_a_band(ax):
    vague = rmtp.Verification(rmtp.Estimate(1.0, 0.1, "sobol"), (10, 20), (np.arange(1.0, 4.0), np.arange(3.0)))
    plots.plot_verification(vague, ax)
    (band,) = ax.patches
    assert np.isclose(band.get_height(), 0.4)


def test_universality(ax):
    _, W, x = setting()
    checks = rmtp.verify(np.mean((W @ x) ** 2), (20, 40), 5, entries=("gaussian", "sparse"))
    plots.plot_universality(checks, ax)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"gaussian entries", "sparse entries"} < set(labels)
    with pytest.raises(BadParameter):
        plots.plot_universality({})


def test_trajectory(ax):
    steps = [1, 2, 3]
    finite = {"a": ([1.1, 0.6, 0.2], [0.1, 0.1, 0.1])}
    limits = [rmtp.Estimate(v, 0, "exact") for v in (1.0, 0.5, 0.25)]
    plots.plot_trajectory(steps, {"a": limits, "b": [3, 2, 1]}, finite, {"a": [1, 1, 1]}, ax, log=True)
    assert ax.get_yscale() == "log"
    assert np.array_equal(curve(ax, "a: limit")[1], [1.0, 0.5, 0.25])
    dashed = [item for item in ax.get_lines() if item.get_linestyle() == "--"]
    (solid,) = [item for item in ax.get_lines() if item.get_label() == "a: limit"]
    assert [item.get_color() for item in dashed] == [solid.get_color()]
    with pytest.raises(BadParameter, match="2 values for 3 points"):
        plots.plot_trajectory(steps, {"a": [1, 2]})


def test_moments(ax):
    plots.plot_moments([2, 4, 6, 8, 10], [1, 2, 5, 14, 42], [1, 2, 5, 14, 42], [1, 2, 5, 14, 43], [0.1] * 5, ax=ax)
    assert ax.get_yscale() == "linear"
    plots.plot_moments([2, 12], [1, 132], ax=ax)
    assert ax.get_yscale() == "log"


def test_figures_of_their_own_belong_to_pyplot_and_style_leaves_no_trace():
    before = dict(matplotlib.rcParams)
    made = plots.plot_moments([1, 2], [1, 2])
    assert made.figure.number in plt.get_fignums()
    plt.close(made.figure)
    assert dict(matplotlib.rcParams) == before


def test_png():
    fig, ax = plots.figure()
    ax.plot([1, 2])
    assert base64.b64decode(plots.to_png_base64(fig)).startswith(b"\x89PNG\r\n\x1a\n")


# ---------------------------------------------------------------------------------------------
# spectral laws


def wishart(ratio):
    n = rmtp.Dim("n")
    X = rmtp.Gaussian(rmtp.Dim("m", ratio), n)
    return rmtp.spectrum(X @ X.T)


def test_a_spectral_density_is_the_exact_one_with_its_atom(ax):
    """Marchenko-Pastur of ratio 2: mass 1/2 at 0, the rest sqrt((b - x)(x - a)) / (4 pi x)."""
    plots.spectral_law(wishart(2), ax, width=150)
    x, rho = curve(ax, "limit")
    a, b = 3 - 2 * np.sqrt(2), 3 + 2 * np.sqrt(2)
    assert abs(x[0] - a) < 1e-9 and abs(x[-1] - b) < 1e-9 and rho[0] == rho[-1] == 0
    inner = slice(1, -1)
    exact = np.sqrt((b - x[inner]) * (x[inner] - a)) / (4 * np.pi * x[inner])
    np.testing.assert_allclose(rho[inner], exact, rtol=1e-6, atol=1e-9)
    assert abs(np.trapezoid(rho, x) - 0.5) < 1e-3
    (stem,) = [item for item in ax.get_lines() if item.get_label() == "atom of mass 0.5"]
    assert list(stem.get_xdata()) == [0, 0] and abs(stem.get_ydata()[1] - 0.5) < 1e-9
    (bars,) = ax.patches
    heights, edges, _ = bars.get_data()
    assert abs(np.sum(heights * np.diff(edges)) - 0.5) < 1e-12  # 150 zeros of 300 are left out
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("eigenvalue", "density")


def test_an_infinite_density_cuts_the_axis(ax):
    plots.spectral_law(wishart(1), ax, width=None)
    x, rho = curve(ax, "limit")
    assert np.all(np.isfinite(rho)) and x[0] > 0
    assert ax.get_ylim()[1] < rho.max() / 10
    np.testing.assert_allclose(rho[:-1], np.sqrt(4 / x[:-1] - 1) / (2 * np.pi), rtol=1e-6)


def test_intervals_are_separate_lines(ax):
    n = rmtp.Dim("n")
    law = rmtp.spectrum(rmtp.diag(rmtp.IID(n, rmtp.Discrete([-3, 3]))) + rmtp.GOE(n))
    plots.spectral_law(law, ax, width=None)
    spans = [(line.get_xdata()[0], line.get_xdata()[-1]) for line in ax.get_lines()]
    np.testing.assert_allclose(spans, law.support(), rtol=1e-12)


def test_several_laws_in_one_axes(ax):
    plots.spectral_law(rmtp.spectrum(rmtp.GOE(rmtp.Dim("n")) * 0.1), ax, None, label="narrow")
    tall = ax.get_ylim()[1]
    plots.spectral_law(rmtp.spectrum(rmtp.GOE(rmtp.Dim("n"))), ax, None, label="wide", color="red")
    assert ax.get_ylim()[1] == tall
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["narrow", "wide"]


def test_each_interval_has_bars_of_its_own(ax):
    n = rmtp.Dim("n")
    law = rmtp.spectrum(rmtp.diag(rmtp.IID(n, rmtp.Discrete([-1, 1]))) + rmtp.GOE(n) / 3)
    plots.spectral_law(law, ax, width=200)
    data = [bars.get_data() for bars in ax.patches]
    assert len(data) == 2 and data[0].edges[-1] < 0 < data[1].edges[0]
    areas = [np.sum(d.values * np.diff(d.edges)) for d in data]
    assert abs(sum(areas) - 1) < 1e-12 and all(abs(200 * a - round(200 * a)) < 1e-9 for a in areas)


def test_an_outlier_of_the_matrix_is_marked_and_not_a_bar(ax):
    """At 3 + 1/3 in the limit, with fluctuations of order n^(-1/2)."""
    n = rmtp.Dim("n")
    u = rmtp.Normal(n)
    plots.spectral_law(rmtp.spectrum(rmtp.GOE(n) + 3 * rmtp.outer(u, u)), ax, width=300)
    (found,) = [line for line in ax.get_lines() if line.get_label() == "outlier of the matrix"]
    (x,) = found.get_xdata()
    (bars,) = ax.patches
    assert 2.8 < x < 3.9 and bars.get_data().edges[-1] < 2.3
    assert abs(np.sum(bars.get_data().values * np.diff(bars.get_data().edges)) - 299 / 300) < 1e-12


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_the_legend_stands_clear_of_the_curve(ax, degree):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    n = rmtp.Dim("n")
    matrices = [rmtp.Haar(n) for _ in range(degree - 1)]
    law = rmtp.spectrum(sum((Q + Q.T for Q in matrices), rmtp.GOE(n)))
    plots.spectral_law(law, ax, width=100)
    FigureCanvasAgg(ax.figure).draw()
    box = ax.get_legend().get_window_extent()
    points = ax.transData.transform(np.column_stack(curve(ax, "limit")))
    under = points[(points[:, 0] > box.x0) & (points[:, 0] < box.x1)]
    assert len(under) and under[:, 1].max() < box.y0  # and not inside the bars


def test_singular_values_that_are_all_one(ax):
    plots.spectral_law(rmtp.singular_values(rmtp.Haar(rmtp.Dim("n"))), ax, width=30)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("singular value", "mass")
    labels = [item.get_label() for item in ax.get_lines()]
    assert labels[0] == "atom of mass 1" and not ax.patches


def test_a_hard_edge_is_a_straight_line_on_logarithmic_axes(ax):
    plots.spectral_law_loglog(wishart(1), ax, width=100)
    x, rho = curve(ax, "limit")
    slope = np.polyfit(np.log(x[x < 1e-3]), np.log(rho[x < 1e-3]), 1)[0]
    assert abs(slope + 0.5) < 1e-3
    (bars,) = ax.patches
    heights, edges, _ = bars.get_data()
    assert 0.98 <= np.sum(heights * np.diff(edges)) <= 1 + 1e-12


def test_logarithmic_axes_need_a_positive_part(ax):
    n = rmtp.Dim("n")
    with pytest.raises(BadParameter):
        plots.spectral_law_loglog(rmtp.singular_values(rmtp.Haar(n)), ax)


def test_outliers_are_marked(ax):
    n = rmtp.Dim("n")
    u = rmtp.Normal(n)
    plots.spectral_law(rmtp.spectrum(rmtp.GOE(n) + 2 * rmtp.outer(u, u)), ax, width=None)
    x, _ = curve(ax, "outliers")
    np.testing.assert_allclose(x, [2.5], rtol=1e-9)
