"""Training of wide networks: linearised dynamics, and networks of finite width to hold against them."""

from .linearised import Linearised, from_kernels, linearise, linearised
from .optimisers import Flow, GradientDescent, HeavyBall, Nesterov, response
from .trajectory import Trajectory

__all__ = [
    "Flow",
    "GradientDescent",
    "HeavyBall",
    "Linearised",
    "Nesterov",
    "Trajectory",
    "from_kernels",
    "linearise",
    "linearised",
    "response",
]
