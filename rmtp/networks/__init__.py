"""Networks as functions: layers, ready architectures, finite networks."""

from .checks import KernelVerification, verify_kernels
from .finite import FiniteNetwork, init
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

__all__ = [
    "FiniteNetwork",
    "KernelVerification",
    "Output",
    "bias",
    "conv",
    "dense",
    "global_pool",
    "init",
    "input_weights",
    "linear",
    "pool",
    "readout",
    "verify_kernels",
]
