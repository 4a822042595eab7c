"""Networks as functions: layers, ready architectures, finite networks."""

from .layers import (
    Output,
    bias,
    conv,
    dense,
    global_pool,
    input_weights,
    linear,
    pool,
    readout,
)

__all__ = ["Output", "bias", "conv", "dense", "global_pool", "input_weights", "linear", "pool", "readout"]
