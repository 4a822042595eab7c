"""Limits of wide random computations, by the master theorem of tensor programs."""

from . import amp, errors, networks, regression, training
from .amp.correction import onsager
from .amp.evolution import Trajectory, state_evolution
from .amp.simulation import compare, simulate
from .backprop import Gradient, backprop
from .claims import Check, check
from .eigenlaws import FreeCumulants, Moments, RTransform
from .ensembles import Dim
from .equations.api import derive
from .equations.iterations import Recursion, derive_recursion
from .equations.kernels import derive_kernel
from .equations.system import Equations
from .handles import Scalar, Vector, parameter
from .kernels.api import Kernel, kernel_function, nngp, nngp_ntk, ntk
from .kernels.gia import gia_check
from .kernels.inspection import gradient_norms, kernel_gradients, layer_kernels
from .language import (
    GOE,
    IID,
    Gaussian,
    Normal,
    constant,
    elementwise,
    elu,
    gelu,
    hard_tanh,
    leaky_relu,
    program,
    relu,
    selu,
    silu,
    soft_threshold,
    softplus,
    swish,
)
from .laws import Discrete, Mixture
from .limit import limit
from .matrices import Matrix, block, diag, eye, inv, outer
from .matrixlaws import BiInvariant, Haar, Invariant, Wishart
from .networks.layers import Output, readout
from .nonlinearity import Outcomes
from .program import Program, width_classes
from .quantity import symbol
from .results import Estimate
from .sample import sample
from .solving import solve
from .spectra.build import singular_values, spectrum
from .spectra.law import Law
from .studies import Study, sweep
from .verify import Verification, verify
from .zlaw import ZLaw

__version__ = "0.1.0"

__all__ = [
    "GOE",
    "IID",
    "BiInvariant",
    "Check",
    "Dim",
    "Discrete",
    "Equations",
    "Estimate",
    "FreeCumulants",
    "Gaussian",
    "Gradient",
    "Haar",
    "Invariant",
    "Kernel",
    "Law",
    "Matrix",
    "Mixture",
    "Moments",
    "Normal",
    "Outcomes",
    "Output",
    "Program",
    "RTransform",
    "Recursion",
    "Scalar",
    "Study",
    "Trajectory",
    "Vector",
    "Verification",
    "Wishart",
    "ZLaw",
    "amp",
    "backprop",
    "block",
    "check",
    "compare",
    "constant",
    "derive",
    "derive_kernel",
    "derive_recursion",
    "diag",
    "elementwise",
    "elu",
    "errors",
    "eye",
    "gelu",
    "gia_check",
    "gradient_norms",
    "hard_tanh",
    "inv",
    "kernel_function",
    "kernel_gradients",
    "layer_kernels",
    "leaky_relu",
    "limit",
    "networks",
    "nngp",
    "nngp_ntk",
    "ntk",
    "onsager",
    "outer",
    "parameter",
    "program",
    "readout",
    "regression",
    "relu",
    "sample",
    "selu",
    "silu",
    "simulate",
    "singular_values",
    "soft_threshold",
    "softplus",
    "solve",
    "spectrum",
    "state_evolution",
    "sweep",
    "swish",
    "symbol",
    "training",
    "verify",
    "width_classes",
]
