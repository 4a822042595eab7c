"""Malformed input by the hundred: every slot of every public function against every kind of bad value.

A bad value either raises a class of rmtp.errors whose message has a remedy, or it is no bad value there, which `FINE` says;
and then the result is finite. Nothing else may come out: no other exception, no NaN.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.stats

import rmtp
from rmtp import amp, networks, regression
from rmtp.errors import RmtpError
from rmtp.results import Estimate

BAD: dict[str, Any] = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "numpy nan": np.float64("nan"),
    "text": "text",
    "digits": "1.5",
    "none": None,
    "complex": 1j,
    "list": [1, 2],
    "matrix": np.ones((2, 2)),
    "cube": np.ones((2, 2, 2)),
    "nan array": np.array([1.0, math.nan]),
    "objects": np.array([object(), "a"], dtype=object),
    "strings": np.array(["a", "b"]),
    "negative": -1,
    "negative fraction": Fraction(-3, 2),
    "zero": 0,
    "false": False,
    "true": True,
    "huge": 10**400,
    "object": object(),
    "dict": {"a": 1},
    "empty": [],
    "empty array": np.zeros(0),
    "function": len,
    "type": float,
    "bytes": b"1",
    "set": {1, 2},
    "ragged": [[1], [1, 2]],
}

n = rmtp.Dim("n")
m = rmtp.Dim("m", 2)
W = rmtp.Gaussian(m, n)
A = rmtp.GOE(n)
x = rmtp.Normal(n)
h = np.mean(np.tanh(A @ x) * x)
LAW = rmtp.spectrum(rmtp.GOE(n))
MP = rmtp.singular_values(W)
X = np.array([[1.0, 0.0], [0.5, -1.0], [0.0, 0.3]])
Y = np.array([1.0, -1.0, 0.5])
LINEAR = amp.linear_model(1, scipy.stats.norm(), 0.1)
DESCENT = partial(amp.gradient_descent, step=0.25)


def net(x):
    return rmtp.readout(rmtp.relu(networks.dense(x, n)))


def small(w):
    """A matrix or vector, used: its limit is asked for."""
    return rmtp.limit(np.mean((w @ x) ** 2))


def square(v):
    v = v[0] if isinstance(v, tuple) else v  # a vector mean makes several
    return rmtp.limit(np.mean(v**2))


def versioned(version):
    with tempfile.TemporaryDirectory() as folder:
        return rmtp.sweep(lambda a: 1, {"a": [1]}, path=folder, version=version).value


ZLAW = rmtp.limit(A @ x)


SLOTS: dict[str, Callable[[Any], Any]] = {
    "Dim name": lambda v: square(rmtp.Normal(rmtp.Dim(v))),
    "Dim ratio": lambda v: small(rmtp.Gaussian(rmtp.Dim("k", v), n)),
    "Gaussian rows": lambda v: small(rmtp.Gaussian(v, n)),
    "Gaussian cols": lambda v: rmtp.Gaussian(n, v) @ x,
    "Gaussian std": lambda v: small(rmtp.Gaussian(m, n, v)),
    "Gaussian variance": lambda v: small(rmtp.Gaussian(m, n, variance=v)),
    "GOE dim": lambda v: rmtp.GOE(v) @ x,
    "GOE std": lambda v: small(rmtp.GOE(n, v)),
    "Haar rows": lambda v: rmtp.Haar(v, n) @ x,
    "Wishart dim": lambda v: rmtp.Wishart(v, m) @ x,
    "Wishart cols": lambda v: small(rmtp.Wishart(n, v)),
    "Invariant law": lambda v: small(rmtp.Invariant(n, v)),
    "BiInvariant law": lambda v: small(rmtp.BiInvariant(n, n, v)),
    "Moments": lambda v: small(rmtp.Invariant(n, rmtp.Moments(v))),
    "FreeCumulants": lambda v: small(rmtp.Invariant(n, rmtp.FreeCumulants(v))),
    "RTransform": lambda v: small(rmtp.Invariant(n, rmtp.RTransform(v))),
    "Normal dim": lambda v: square(rmtp.Normal(v)),
    "Normal mean": lambda v: square(rmtp.Normal(n, v)),
    "Normal cov": lambda v: square(rmtp.Normal(n, cov=v)),
    "IID dim": lambda v: square(rmtp.IID(v, scipy.stats.norm())),
    "IID law": lambda v: square(rmtp.IID(n, v)),
    "Discrete values": lambda v: square(rmtp.IID(n, rmtp.Discrete(v))),
    "Discrete weights": lambda v: square(rmtp.IID(n, rmtp.Discrete([1, 2], v))),
    "Mixture parts": lambda v: square(rmtp.IID(n, rmtp.Mixture(v, [0.5, 0.5]))),
    "Mixture weights": lambda v: square(rmtp.IID(n, rmtp.Mixture([0, 1], v))),
    "constant dim": lambda v: square(rmtp.constant(v, 1)),
    "constant value": lambda v: square(rmtp.constant(n, v)),
    "parameter": lambda v: rmtp.limit(rmtp.parameter(v) * np.mean(x**2)),
    "leaky_relu slope": lambda v: square(rmtp.leaky_relu(x, v)),
    "soft_threshold": lambda v: square(rmtp.soft_threshold(x, v)),
    "elementwise": lambda v: square(rmtp.elementwise(v)(x)),
    "elementwise kinks": lambda v: square(rmtp.elementwise(abs, kinks=v)(x)),
    "vector plus": lambda v: square(x + v),
    "vector times": lambda v: square(x * v),
    "vector power": lambda v: rmtp.limit(np.mean(x**v)),
    "vector over": lambda v: square(x / v),
    "matrix at": lambda v: square(W @ v),
    "matrix plus": lambda v: rmtp.spectrum(A + v).moment(2),
    "matrix times": lambda v: rmtp.spectrum(A * v).moment(2),
    "matrix power": lambda v: rmtp.spectrum(A**v).moment(1),
    "np.maximum": lambda v: square(np.maximum(x, v)),
    "np.clip": lambda v: square(np.clip(x, v, 3)),
    "np.where": lambda v: square(np.where(x > 0, x, v)),
    "index": lambda v: x[v],
    "eye": lambda v: rmtp.spectrum(A + rmtp.eye(v)).moment(2),
    "diag": lambda v: rmtp.spectrum(A + rmtp.diag(v)).moment(2),
    "outer": lambda v: rmtp.spectrum(A + rmtp.outer(v, v)).moment(2),
    "inv": lambda v: rmtp.spectrum(rmtp.inv(v)).moment(1),
    "block": lambda v: rmtp.spectrum(rmtp.block(v)).moment(2),
    "solve matrix": lambda v: square(rmtp.solve(v, x)),
    "solve vector": lambda v: square(rmtp.solve(W.T @ W + rmtp.eye(n), v)),
    "program": rmtp.program,
    "width_classes": rmtp.width_classes,
    "limit of": rmtp.limit,
    "limit method": lambda v: rmtp.limit(h, method=v),
    "limit rtol": lambda v: rmtp.limit(h, rtol=v),
    "limit dps": lambda v: rmtp.limit(np.mean(x**2), dps=v),
    "limit budget": lambda v: rmtp.limit(h, budget=v),
    "limit zdot": lambda v: rmtp.limit(h, zdot=v),
    "limit seed": lambda v: rmtp.limit(h, seed=v),
    "ZLaw expect": lambda v: rmtp.limit(A @ x).expect(v),
    "ZLaw moment": lambda v: rmtp.limit(A @ x).moment(v),
    "ZLaw cov": ZLAW.cov,
    "sample of": lambda v: rmtp.sample(v, 10, 0),
    "sample width": lambda v: rmtp.sample(h, v, 0),
    "sample rng": lambda v: rmtp.sample(h, 5, v),
    "sample trials": lambda v: rmtp.sample(h, 5, 0, v),
    "sample entries": lambda v: rmtp.sample(h, 5, 0, entries=v),
    "verify of": lambda v: rmtp.verify(v, (5, 10), 3),
    "verify widths": lambda v: rmtp.verify(h, v, 3).mean,
    "verify trials": lambda v: rmtp.verify(h, (5, 10), v).mean,
    "verify rng": lambda v: rmtp.verify(h, (5, 10), 3, v).mean,
    "verify entries": lambda v: rmtp.verify(h, (5, 10), 3, entries=v).mean,
    "verify claim": lambda v: rmtp.verify(h, (5, 10), 3, claim=v).limit,
    "spectrum": lambda v: rmtp.spectrum(v).moment(1),
    "singular_values": lambda v: rmtp.singular_values(v).moment(2),
    "law pdf": LAW.pdf,
    "law cdf": LAW.cdf,
    "law ppf": LAW.ppf,
    "law moment": LAW.moment,
    "singular moment": MP.moment,
    "law expect": LAW.expect,
    "law stieltjes": LAW.stieltjes,
    "law stieltjes dps": lambda v: LAW.stieltjes(3 + 1j, dps=v),
    "law sample width": lambda v: LAW.sample(v, 0),
    "law sample rng": lambda v: LAW.sample(5, v),
    "law rvs size": lambda v: LAW.rvs(v, 0),
    "law free_cumulants": LAW.free_cumulants,
    "law r_transform": LAW.r_transform,
    "law plus": lambda v: (LAW + v).moment(2),
    "law times": lambda v: (LAW * v).moment(2),
    "backprop": rmtp.backprop,
    "nngp net": lambda v: rmtp.nngp(v, X),
    "nngp X1": lambda v: rmtp.nngp(net, v),
    "ntk X1": lambda v: rmtp.ntk(net, v),
    "ntk X2": lambda v: rmtp.ntk(net, X, v),
    "nngp_ntk X1": lambda v: rmtp.nngp_ntk(net, v),
    "kernel_function shape": lambda v: rmtp.kernel_function(net, v),
    "kernel_function kernels": lambda v: rmtp.kernel_function(net, (2,), v),
    "ntk parametrization": lambda v: rmtp.ntk(net, X, parametrization=v),
    "ntk executor": lambda v: rmtp.ntk(net, X, executor=v),
    "ntk out": lambda v: rmtp.ntk(net, X, out=v),
    "gia_check": lambda v: bool(rmtp.gia_check(v)),
    "gia_check shape": lambda v: bool(rmtp.gia_check(net, v)),
    "dense width": lambda v: rmtp.nngp(lambda x: rmtp.readout(networks.dense(x, v)), X),
    "dense std": lambda v: rmtp.nngp(lambda x: rmtp.readout(networks.dense(x, n, v)), X),
    "dense bias": lambda v: rmtp.nngp(lambda x: rmtp.readout(networks.dense(x, n, 1, v)), X),
    "readout of": rmtp.readout,
    "readout std": lambda v: rmtp.nngp(lambda x: rmtp.readout(networks.dense(x, n), v), X),
    "layer_norm of": networks.layer_norm,
    "mlp width": lambda v: rmtp.nngp(networks.mlp(v), X),
    "mlp depth": lambda v: rmtp.nngp(networks.mlp(n, v), X),
    "length_map": lambda v: networks.length_map(v, 1.0),
    "length_map std": lambda v: networks.length_map(np.tanh, 1.0, v),
    "chi": lambda v: networks.chi(np.tanh, v),
    "edge_of_chaos": lambda v: networks.edge_of_chaos(np.tanh, v),
    "init width": lambda v: networks.init(net, v, 0, (2,)).forward(X),
    "init inputs": lambda v: networks.init(net, 5, 0, (2,)).forward(v),
    "verify_kernels X": lambda v: networks.verify_kernels(net, v, widths=(5, 10), trials=2).score,
    "verify_kernels widths": lambda v: networks.verify_kernels(net, X, widths=v, trials=2).score,
    "verify_kernels trials": lambda v: networks.verify_kernels(net, X, widths=(5, 10), trials=v).score,
    "posterior y": lambda v: regression.posterior(np.eye(3), np.eye(3), np.eye(3), v, noise=0.1).mean,
    "posterior K": lambda v: regression.posterior(v, np.eye(3), np.eye(3), Y, noise=0.1).mean,
    "posterior test": lambda v: regression.posterior(np.eye(3), v, None, Y, noise=0.1).mean,
    "posterior noise": lambda v: regression.posterior(np.eye(3), np.eye(3), np.eye(3), Y, noise=v).mean,
    "state_evolution method": lambda v: rmtp.state_evolution(v, LINEAR, 1).mse,
    "state_evolution problem": lambda v: rmtp.state_evolution(DESCENT, v, 1).mse,
    "state_evolution steps": lambda v: rmtp.state_evolution(DESCENT, LINEAR, v).mse,
    "simulate width": lambda v: rmtp.simulate(DESCENT, LINEAR, 1, v, rng=0).mse,
    "simulate trials": lambda v: rmtp.simulate(DESCENT, LINEAR, 1, 5, v, rng=0).mse,
    "compare widths": lambda v: rmtp.compare(DESCENT, LINEAR, 1, v, 3).trajectory.mse,
    "linear_model delta": lambda v: rmtp.state_evolution(DESCENT, amp.linear_model(v, scipy.stats.norm(), 0.1), 1).mse,
    "linear_model prior": lambda v: rmtp.state_evolution(DESCENT, amp.linear_model(1, v, 0.1), 1).mse,
    "linear_model noise": lambda v: rmtp.state_evolution(DESCENT, amp.linear_model(1, scipy.stats.norm(), v), 1).mse,
    "bernoulli_gauss": lambda v: rmtp.state_evolution(DESCENT, amp.linear_model(1, amp.bernoulli_gauss(v)), 1).mse,
    "spiked_wigner": lambda v: (
        rmtp.state_evolution(amp.power_iteration, amp.random_start(amp.spiked_wigner(v, [-1, 1])), 1).mse
    ),
    "onsager": rmtp.onsager,
    "check claim": lambda v: rmtp.check(v, h, widths=None).rows[0].engine,
    "check expr": lambda v: rmtp.check(1, v, widths=None).rows[0].engine,
    "check grid": lambda v: rmtp.check(1, lambda a: 1, grid=v, widths=None).rows[0].engine,
    "check values": lambda v: rmtp.check(1, lambda a: 1, grid={"a": v}, widths=None).rows[0].engine,
    "check widths": lambda v: rmtp.check(1, h, widths=v, trials=2).rows[0].engine,
    "check dps": lambda v: rmtp.check(1, np.mean(x**2), widths=None, dps=v).rows[0].engine,
    "check simulate": lambda v: rmtp.check(1, 1, widths=(2, 3), trials=2, simulate=v).rows[0].engine,
    "sweep f": lambda v: rmtp.sweep(v, {"a": [1]}).masked().filled(0),
    "sweep grid": lambda v: rmtp.sweep(lambda a: 1, v).masked().filled(0),
    "sweep result": lambda v: rmtp.sweep(lambda a: v if a else 1, {"a": [0, 1]}).value,
    "sweep executor": lambda v: rmtp.sweep(lambda a: 1, {"a": [1]}, executor=v).value,
    "sweep version": versioned,
}

GOOD: dict[str, Any] = {
    "Dim name": "k",
    "Dim ratio": 2,
    "Gaussian rows": m,
    "Gaussian cols": n,
    "Gaussian std": 2,
    "Gaussian variance": 2,
    "GOE dim": n,
    "GOE std": 2,
    "Haar rows": n,
    "Wishart dim": n,
    "Wishart cols": m,
    "Invariant law": [-1, 1],
    "BiInvariant law": [1, 2],
    "Moments": [0, 1],
    "FreeCumulants": [0, 1],
    "RTransform": lambda w: w,
    "Normal dim": n,
    "Normal mean": 1,
    "Normal cov": 2,
    "IID dim": n,
    "IID law": [1, 2],
    "Discrete values": [1, 2],
    "Discrete weights": [0.5, 0.5],
    "Mixture parts": [0, 1],
    "Mixture weights": [0.5, 0.5],
    "constant dim": n,
    "constant value": 2,
    "parameter": 2,
    "leaky_relu slope": 0.1,
    "soft_threshold": 1,
    "elementwise": np.tanh,
    "elementwise kinks": [0.0],
    "vector plus": 1,
    "vector times": 2,
    "vector power": 2,
    "vector over": 2,
    "matrix at": x,
    "matrix plus": A,
    "matrix times": 2,
    "matrix power": 2,
    "np.maximum": 0,
    "np.clip": 0,
    "np.where": 0,
    "index": slice(None),
    "eye": n,
    "diag": x,
    "outer": x,
    "inv": 3 * rmtp.eye(n) + A,
    "block": [[0, W], [W.T, 0]],
    "solve matrix": W.T @ W + rmtp.eye(n),
    "solve vector": x,
    "program": x,
    "width_classes": rmtp.program(x),
    "limit of": h,
    "limit method": "quadrature",
    "limit rtol": 1e-6,
    "limit dps": 20,
    "limit budget": 2**18,
    "limit zdot": "stein",
    "limit seed": 3,
    "ZLaw expect": np.tanh,
    "ZLaw moment": 2,
    "ZLaw cov": ZLAW,
    "sample of": h,
    "sample width": 5,
    "sample rng": 3,
    "sample trials": 2,
    "sample entries": "uniform",
    "verify of": h,
    "verify widths": (5, 10),
    "verify trials": 3,
    "verify rng": 3,
    "verify entries": "uniform",
    "verify claim": 0.5,
    "spectrum": A,
    "singular_values": W,
    "law pdf": 0.5,
    "law cdf": 0.5,
    "law ppf": 0.5,
    "law moment": 2,
    "singular moment": 2,
    "law expect": np.tanh,
    "law stieltjes": 1j,
    "law stieltjes dps": 20,
    "law sample width": 5,
    "law sample rng": 3,
    "law rvs size": 3,
    "law free_cumulants": 3,
    "law r_transform": 0.1,
    "law plus": LAW,
    "law times": 2,
    "backprop": np.mean(np.tanh(A @ x)),
    "nngp net": net,
    "nngp X1": X,
    "ntk X1": X,
    "ntk X2": X,
    "nngp_ntk X1": X,
    "kernel_function shape": (2,),
    "kernel_function kernels": ("nngp",),
    "ntk parametrization": "ntk",
    "ntk executor": None,
    "ntk out": None,
    "gia_check": net,
    "gia_check shape": (2,),
    "dense width": n,
    "dense std": 1,
    "dense bias": 1,
    "readout of": x,
    "readout std": 1,
    "layer_norm of": x,
    "mlp width": n,
    "mlp depth": 2,
    "length_map": np.tanh,
    "length_map std": 1,
    "chi": 1,
    "edge_of_chaos": 1,
    "init width": 5,
    "init inputs": X,
    "verify_kernels X": X,
    "verify_kernels widths": (5, 10),
    "verify_kernels trials": 3,
    "posterior y": Y,
    "posterior K": np.eye(3),
    "posterior test": np.eye(3),
    "posterior noise": 0.1,
    "state_evolution method": DESCENT,
    "state_evolution problem": LINEAR,
    "state_evolution steps": 1,
    "simulate width": 5,
    "simulate trials": 2,
    "compare widths": (5, 10),
    "linear_model delta": 1,
    "linear_model prior": [-1, 1],
    "linear_model noise": 0.1,
    "bernoulli_gauss": 0.5,
    "spiked_wigner": 2,
    "onsager": DESCENT,
    "check claim": 1,
    "check expr": 1,
    "check grid": {"a": [1]},
    "check values": [1],
    "check widths": None,
    "check dps": 20,
    "check simulate": lambda width, rng: 1.0 + rng.random(),
    "sweep f": lambda a: a,
    "sweep grid": {"a": [1]},
    "sweep result": 2,
    "sweep executor": None,
    "sweep version": "1",
}

NONNEGATIVE = {"zero", "false", "true"}
NUMBERS = NONNEGATIVE | {"negative", "negative fraction"}
ARRAYS = {"list", "matrix", "cube"}
SEEDS = {"none", "list", "zero", "huge", "empty", "empty array", "ragged"}  # as NumPy's generators take them

# Where a kind of value is none to complain of.
FINE: dict[str, set[str]] = {
    "Dim name": {"text", "digits"},
    "Dim ratio": ARRAYS | {"true"},
    "Gaussian std": ARRAYS | NONNEGATIVE,
    "Gaussian variance": ARRAYS | NONNEGATIVE | {"none"},
    "GOE std": ARRAYS | NONNEGATIVE,
    "Invariant law": NUMBERS | {"list"},
    "BiInvariant law": NONNEGATIVE | {"list"},
    "Moments": {"list"},
    "FreeCumulants": {"list"},
    "Normal mean": NUMBERS | {"list"},
    "Normal cov": NONNEGATIVE | {"matrix"},
    "IID law": NUMBERS | {"list"},
    "Discrete values": {"list"},
    "Discrete weights": {"none"},
    "Mixture parts": {"list", "matrix", "ragged"},  # lists of atoms are laws
    "constant value": NUMBERS,
    "parameter": NUMBERS | ARRAYS,
    "leaky_relu slope": NUMBERS,
    "soft_threshold": NUMBERS,
    "elementwise kinks": {"list", "empty", "empty array"},
    "vector plus": NUMBERS,
    "vector times": NUMBERS,
    "vector power": NONNEGATIVE,
    "vector over": {"negative", "negative fraction", "true"},
    "matrix times": NUMBERS,
    "matrix power": {"zero"},
    "np.maximum": NUMBERS,
    "np.clip": NUMBERS | {"none"},
    "np.where": NUMBERS,
    "program": {"empty"},
    "limit of": {"empty"},
    "limit dps": {"none"},
    "limit budget": {"none"},
    "limit seed": {"zero", "huge"},
    "ZLaw moment": {"zero"},
    "sample of": {"empty"},
    "sample rng": SEEDS,
    "sample entries": {"none"},
    "verify of": {"empty"},
    "verify widths": {"list"},
    "verify trials": {"none"},
    "verify rng": SEEDS,
    "verify entries": {"none"},
    "verify claim": NUMBERS | {"none"},
    "law pdf": NUMBERS | ARRAYS | {"inf", "-inf", "empty", "empty array"},
    "law cdf": NUMBERS | ARRAYS | {"inf", "-inf", "empty", "empty array"},
    "law ppf": NONNEGATIVE | {"matrix", "cube", "empty", "empty array"},
    "law moment": {"zero"},
    "singular moment": {"zero"},
    "law expect": {"function"},  # len is a constant
    "law stieltjes": {"complex", "empty", "empty array"},
    "law stieltjes dps": {"none"},
    "law sample rng": SEEDS,
    "law rvs size": {"none", "list", "empty", "empty array"},
    "law free_cumulants": {"zero"},
    "law r_transform": {"complex", "zero", "false", "empty", "empty array"},
    "law plus": NUMBERS | {"list"},
    "law times": NUMBERS | {"list"},
    "nngp X1": {"matrix", "cube"},
    "ntk X1": {"matrix", "cube"},
    "ntk X2": {"none", "matrix"},
    "nngp_ntk X1": {"matrix", "cube"},
    "kernel_function shape": {"list"},
    "ntk executor": {"none"},
    "ntk out": {"none", "text", "digits"},
    "gia_check shape": {"list"},
    "dense std": ARRAYS | NONNEGATIVE,
    "dense bias": ARRAYS | NONNEGATIVE,
    "readout std": ARRAYS | NONNEGATIVE,
    "length_map std": NONNEGATIVE,
    "chi": ARRAYS | NONNEGATIVE,
    "edge_of_chaos": ARRAYS | NONNEGATIVE,
    "init inputs": {"matrix"},
    "verify_kernels X": {"matrix", "cube"},
    "verify_kernels widths": {"list"},
    "verify_kernels trials": {"none"},
    "posterior noise": NONNEGATIVE,
    "state_evolution steps": {"zero"},
    "compare widths": {"list"},
    "linear_model delta": ARRAYS | {"true"},
    "linear_model prior": {"list"},
    "linear_model noise": ARRAYS | NONNEGATIVE,
    "bernoulli_gauss": {"matrix", "cube", "true"},
    "spiked_wigner": NUMBERS | ARRAYS | {"ragged"},  # one strength per spike, each of them a sweep
    "onsager": {"function", "type"},
    "check claim": {"negative", "negative fraction", "zero"},
    "check expr": {"negative", "negative fraction", "zero"},
    "check values": {"list", "objects", "strings", "ragged"},
    "check widths": {"none", "list"},
    "check dps": {"none"},
    "check simulate": {"none"},
    "sweep result": {"complex", "negative", "negative fraction", "zero", "false", "true"},
    "sweep executor": {"none"},
    "sweep version": {"none", "text", "digits"},
}


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path, monkeypatch):
    """Files that a good name of a file makes."""
    monkeypatch.chdir(tmp_path)


def finite(result: Any) -> bool:
    """No NaN and no infinity among the numbers of a result; what is no number has none."""
    match result:
        case Estimate():
            return finite(result.value) and finite(result.error)
        case Mapping():
            return all(map(finite, result.values()))
        case list() | tuple():
            return all(map(finite, result))
        case np.ndarray():
            return result.dtype.kind not in "fc" or bool(np.all(np.isfinite(result)))
        case float() | complex():
            return bool(np.isfinite(result))
        case _:
            return True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("slot", SLOTS)
def test_bad_values_are_refused_by_errors_of_rmtp(slot):
    wrong = []
    for kind, value in BAD.items():
        try:
            result = SLOTS[slot](value)
        except RmtpError as error:
            if kind in FINE.get(slot, ()):
                wrong.append(f"{kind} is refused: {error}")
            elif not error.problem or not error.remedy:
                wrong.append(f"{kind}: no remedy: {error}")
            continue
        except Exception as error:
            wrong.append(f"{kind} raises {type(error).__name__}: {error}")
            continue
        if kind not in FINE.get(slot, ()):
            wrong.append(f"{kind} is accepted: {result!r}")
        elif not finite(result):
            wrong.append(f"{kind} gives {result!r}")
    assert not wrong


@pytest.mark.parametrize("slot", SLOTS)
def test_a_good_value_in_the_same_slot_is_accepted(slot):
    """Or the slot would refuse everything for a reason of its own."""
    assert finite(SLOTS[slot](GOOD[slot]))


def test_thousands_of_cases():
    assert len(SLOTS) * len(BAD) - sum(map(len, FINE.values())) > 3000 and set(GOOD) == set(SLOTS) >= set(FINE)
