"""Limits of wide random computations, by the master theorem of tensor programs."""

from . import errors, networks, regression
from .backprop import Gradient, backprop
from .eigenlaws import FreeCumulants, Moments, RTransform
from .ensembles import Dim
from .handles import Scalar, Vector, parameter
from .kernels.api import nngp, nngp_ntk, ntk
from .language import (
    GOE,
    IID,
    Gaussian,
    Normal,
    constant,
    elementwise,
    gelu,
    leaky_relu,
    program,
    relu,
    soft_threshold,
    softplus,
)
from .laws import Discrete, Mixture
from .limit import limit
from .matrices import Matrix, block, diag, eye, inv, outer
from .matrixlaws import BiInvariant, Haar, Invariant, Wishart
from .networks.layers import Output, readout
from .program import Program, width_classes
from .results import Estimate
from .sample import sample
from .solving import solve
from .spectra.build import singular_values, spectrum
from .spectra.law import Law
from .verify import Verification, verify
from .zlaw import ZLaw

__version__ = "0.1.0"

__all__ = [
    "GOE",
    "IID",
    "BiInvariant",
    "Dim",
    "Discrete",
    "Estimate",
    "FreeCumulants",
    "Gaussian",
    "Gradient",
    "Haar",
    "Invariant",
    "Law",
    "Matrix",
    "Mixture",
    "Moments",
    "Normal",
    "Output",
    "Program",
    "RTransform",
    "Scalar",
    "Vector",
    "Verification",
    "Wishart",
    "ZLaw",
    "backprop",
    "block",
    "constant",
    "diag",
    "elementwise",
    "errors",
    "eye",
    "gelu",
    "inv",
    "leaky_relu",
    "limit",
    "networks",
    "nngp",
    "nngp_ntk",
    "ntk",
    "outer",
    "parameter",
    "program",
    "readout",
    "regression",
    "relu",
    "sample",
    "singular_values",
    "soft_threshold",
    "softplus",
    "solve",
    "spectrum",
    "verify",
    "width_classes",
]
