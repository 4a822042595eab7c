"""Limits of wide random computations, by the master theorem of tensor programs."""

from . import errors
from .ensembles import Dim
from .handles import Matrix, Scalar, Vector, parameter
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
from .laws import Discrete, Law, Mixture
from .limit import limit
from .program import Program, width_classes
from .results import Estimate
from .sample import sample
from .verify import Verification, verify
from .zlaw import ZLaw

__version__ = "0.1.0"

__all__ = [
    "GOE",
    "IID",
    "Dim",
    "Discrete",
    "Estimate",
    "Gaussian",
    "Law",
    "Matrix",
    "Mixture",
    "Normal",
    "Program",
    "Scalar",
    "Vector",
    "Verification",
    "ZLaw",
    "constant",
    "elementwise",
    "errors",
    "gelu",
    "leaky_relu",
    "limit",
    "parameter",
    "program",
    "relu",
    "sample",
    "soft_threshold",
    "softplus",
    "verify",
    "width_classes",
]
