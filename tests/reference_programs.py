"""Programs with independently computed limits, from JSON, as rmtp handles."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from scipy.special import erf

import rmtp


def exact_number(value: float) -> Fraction:
    return Fraction(str(value))


FUNCTIONS = {
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "erf": erf,
    "relu": rmtp.relu,
    "step": lambda x: np.heaviside(x, 0),
    "sign": np.sign,
    "soft": rmtp.soft_threshold,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "where": np.where,
    "pi": np.pi,
}


def build(spec: dict[str, Any], rational: bool = False) -> dict[str, Any]:
    """The outputs of a reference program, by name."""
    number = exact_number if rational else (lambda v: v)
    dims = {name: rmtp.Dim(name, number(r) if rational else r) for name, r in spec["dims"].items()}
    env: dict[str, Any] = dict(FUNCTIONS)
    for group in spec["inputs"]:
        vectors = rmtp.Normal(
            dims[group["dim"]],
            mean=[number(m) for m in group["mean"]],
            cov=[[number(c) for c in row] for row in group["cov"]],
            name=group["names"],
        )
        env.update(zip(group["names"], vectors, strict=True))
    matrices = {
        m["name"]: rmtp.Gaussian(dims[m["rows"]], dims[m["cols"]], variance=number(m["sigma2"]), name=m["name"])
        for m in spec["matrices"]
    }
    for line in spec["lines"]:
        match line["op"]:
            case "matmul":
                W = matrices[line["W"]]
                env[line["out"]] = (W.T if line["T"] else W) @ env[line["x"]]
            case "nonlin":
                env[line["out"]] = eval(line["expr"], env)  # trusted test data
            case "moment":
                env[line["out"]] = np.mean(eval(line["expr"], env))
            case "scalar":
                env[line["out"]] = eval(line["expr"], env)
    outputs = {}
    for out in spec["outputs"]:
        value = eval(out["expr"], env)
        outputs[out["name"]] = np.mean(value) if isinstance(value, rmtp.Vector) else value
    return outputs
