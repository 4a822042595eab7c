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
